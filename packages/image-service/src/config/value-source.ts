import type { IniEntry } from './ini.ts';
import { interpolate } from './interpolate.ts';
import type { OptionDefinition } from './options.ts';
import type { ConfigurationProblem } from './problem.ts';

/** Everything that can give an option its value, strongest last: defaults, files, environment, command line. */
export interface GivenValues {
  readonly entries: readonly IniEntry[];
  /** `OS_<GROUP>__<OPTION>` in capitals. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Keys are `section.option`. */
  readonly overrides: Readonly<Record<string, string>>;
}

interface FoundText {
  readonly text: string;
  readonly origin: string;
  readonly literal?: true;
}

/** Finds the values of options one by one, and gathers what is wrong and what is worth a warning. */
export interface ValueReader {
  /** The value of the option in `section`; undefined when there is none or it is wrong (then `problems` has it). */
  read<T>(definition: OptionDefinition<T>, section?: string): T | undefined;
  readonly problems: ConfigurationProblem[];
  readonly warnings: string[];
  /** The values of the secret options that were read. */
  readonly secrets: string[];
}

/** A reader over the given values; `known` are the definitions whose defaults references may use. */
export function valueReader(given: GivenValues, known: readonly OptionDefinition<unknown>[]): ValueReader {
  const problems: ConfigurationProblem[] = [];
  const warnings: string[] = [];
  const secrets: string[] = [];
  const rawText = (group: string, name: string): string | undefined => {
    const definition = known.find((option) => option.section === group && option.name === name);
    const found = definition === undefined ? undefined : findText(given, definition, group);
    return (found ?? lastEntry(given.entries, group, name))?.text ?? definition?.default;
  };
  return {
    problems,
    warnings,
    secrets,
    read<T>(definition: OptionDefinition<T>, section: string = definition.section): T | undefined {
      const found = findText(given, definition, section, warnings);
      if (found === undefined) return undefined;
      if (definition.ignored !== undefined) warnings.push(`[${section}] ${definition.name} ${definition.ignored}`);
      const shown = (value: string): string => (definition.secret === true ? '(not shown)' : value);
      const fault = { section, option: definition.name, value: shown(found.text), origin: found.origin };
      const text = found.literal
        ? { text: found.text }
        : interpolate(found.text, (group, name) =>
            group === undefined ? (rawText(section, name) ?? rawText('DEFAULT', name)) : rawText(group, name),
          );
      if ('problem' in text) {
        problems.push({ ...fault, message: text.problem });
        return undefined;
      }
      if (definition.secret === true && text.text !== '') secrets.push(text.text);
      const parsed = definition.type.schema.safeParse(text.text);
      if (parsed.success) return parsed.data;
      const { choices } = definition.type;
      const message = parsed.error.issues.map((issue) => issue.message).join('; ');
      problems.push({ ...fault, value: shown(text.text), message, ...(choices === undefined ? {} : { choices }) });
      return undefined;
    },
  };
}

function findText(
  given: GivenValues,
  definition: OptionDefinition<unknown>,
  section: string,
  warnings: string[] = [],
): FoundText | undefined {
  const override = given.overrides[`${section}.${definition.name}`];
  if (override !== undefined) return { text: override, origin: 'command line', literal: true };
  const variable = environmentName(section, definition.name);
  const fromEnvironment = given.environment[variable];
  if (fromEnvironment !== undefined) return { text: fromEnvironment, origin: variable };
  const fromFile = inFiles(given.entries, definition, section) ?? underFormerName(given.entries, definition, warnings);
  if (fromFile !== undefined) return fromFile;
  return definition.default === undefined ? undefined : { text: definition.default, origin: 'default' };
}

/** The environment variable of an option: `OS_TASKFLOW_EXECUTOR__CONVERSION_FORMAT`. */
export function environmentName(section: string, option: string): string {
  return `OS_${section}__${option}`.toUpperCase();
}

function inFiles(
  entries: readonly IniEntry[],
  definition: OptionDefinition<unknown>,
  section: string,
): FoundText | undefined {
  if (definition.type.repeated === undefined) return lastEntry(entries, section, definition.name);
  const all = entries.filter((entry) => entry.section === section && entry.key === definition.name);
  const last = all.at(-1);
  return last === undefined ? undefined : { text: all.map((entry) => entry.value).join('\n'), origin: last.origin };
}

function underFormerName(
  entries: readonly IniEntry[],
  definition: OptionDefinition<unknown>,
  warnings: string[],
): FoundText | undefined {
  for (const former of definition.deprecated ?? []) {
    const found = lastEntry(entries, former.section, former.name);
    if (found === undefined) continue;
    warnings.push(
      `[${former.section}] ${former.name} is deprecated, write [${definition.section}] ${definition.name} (${found.origin})`,
    );
    return found;
  }
  return undefined;
}

function lastEntry(entries: readonly IniEntry[], section: string, key: string): FoundText | undefined {
  const entry = entries.findLast((candidate) => candidate.section === section && candidate.key === key);
  return entry === undefined ? undefined : { text: entry.value, origin: entry.origin };
}
