import { ACCESS_OPTIONS } from './access-options.ts';
import { OPERATOR_OPTIONS } from './operator-options.ts';
import type { OptionDefinition } from './options.ts';
import { DATABASE_OPTIONS } from './database-options.ts';
import { CONVERSION_OPTIONS } from './conversion-options.ts';
import { IMPORT_OPTIONS } from './import-options.ts';
import { LIMIT_OPTIONS } from './limit-options.ts';
import { METADEF_OPTIONS } from './metadef-options.ts';
import { SAFETY_OPTIONS } from './safety-options.ts';
import { OPTIONS } from './options.ts';
import { COMMON_STORE_OPTIONS, FILE_STORE_OPTIONS, HTTP_STORE_OPTIONS, S3_STORE_OPTIONS } from './store-options.ts';
import { environmentName } from './value-source.ts';

/** The sample configuration file: every option commented out with its default, made from the definitions alone. */
export function sampleConfiguration(): string {
  const definitions: readonly OptionDefinition<unknown>[] = [
    ...Object.values(OPTIONS),
    ...Object.values(DATABASE_OPTIONS),
    ...Object.values(ACCESS_OPTIONS),
    ...Object.values(CONVERSION_OPTIONS),
    ...Object.values(IMPORT_OPTIONS),
    ...Object.values(LIMIT_OPTIONS),
    ...Object.values(METADEF_OPTIONS),
    ...Object.values(SAFETY_OPTIONS),
    ...Object.values(OPERATOR_OPTIONS),
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
