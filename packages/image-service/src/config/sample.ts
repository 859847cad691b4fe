import { ALL_OPTIONS } from './all-options.ts';
import type { OptionDefinition } from './options.ts';
import { COMMON_STORE_OPTIONS, FILE_STORE_OPTIONS, HTTP_STORE_OPTIONS, S3_STORE_OPTIONS } from './store-options.ts';
import { environmentName } from './value-source.ts';

/** The sample configuration file: every option commented out with its default, made from the definitions alone. */
export function sampleConfiguration(): string {
  const definitions: readonly OptionDefinition<unknown>[] = [
    ...ALL_OPTIONS,
    ...Object.values(COMMON_STORE_OPTIONS),
    ...Object.values(FILE_STORE_OPTIONS),
    ...Object.values(S3_STORE_OPTIONS),
    ...Object.values(HTTP_STORE_OPTIONS),
  ];
  const sections = [...new Set(definitions.map((definition) => definition.section))];
  return sections
    .map((section) => {
      const own = definitions.filter((definition) => definition.section === section);
      return `[${section}]\n\n${own.map(describeOption).join('\n')}`;
    })
    .join('\n\n');
}

function describeOption(definition: OptionDefinition<unknown>): string {
  const { section, name, type, help } = definition;
  const fallback = definition.default === undefined ? '<None>' : definition.default;
  const lines = [...help.split('\n'), `(${type.kind}, default: ${fallback === '' ? '<empty>' : fallback})`];
  if (type.choices !== undefined) lines.push(`Choices: ${type.choices.join(', ')}`);
  if (!section.startsWith('<')) lines.push(`Environment: ${environmentName(section, name)}`);
  for (const former of definition.deprecated ?? []) lines.push(`Former name: [${former.section}] ${former.name}`);
  const comment = lines.map((line) => `# ${line.trim()}\n`).join('');
  return `${comment}#${name} = ${definition.default || (definition.sample ?? '')}\n`;
}
