import { statSync } from 'node:fs';
import type { ReferenceRules } from '@diskmorph/disk-image-node';
import type { OptionSpec } from './command.ts';
import { UsageError } from './command.ts';
import type { GivenArguments } from './given-arguments.ts';

export const FORMAT_OPTION: OptionSpec = {
  long: 'format',
  short: 'f',
  value: 'FMT',
  summary: 'Format of the image. Detected by its signature when it is not given, and then named in the output',
};

export const JSON_OPTION: OptionSpec = { long: 'json', summary: 'Print the result as one JSON document' };

export const SNAPSHOT_OPTION: OptionSpec = {
  long: 'snapshot',
  value: 'NAME',
  summary: 'Read this internal snapshot (its name or id) instead of the current state',
};

export const REFERENCES_OPTION: OptionSpec = {
  long: 'allow-references',
  value: 'DIR',
  repeatable: true,
  summary:
    'Let the image name other files (backing file, data file, extents) that lie below DIR. Without it no other file is opened',
};

/** How progress is shown. */
export const PROGRESS_OPTION: OptionSpec = {
  long: 'progress',
  value: 'MODE',
  summary:
    'auto, bar, lines, json or none: how progress is shown on standard error. auto: a bar on a terminal, else lines',
};

/** How long work is shown. */
export const PROGRESS_OPTIONS: readonly OptionSpec[] = [
  PROGRESS_OPTION,
  { long: 'quiet', short: 'q', summary: 'Show no progress and no summary, only errors' },
];

/** How long work is done and shown. */
export const WORK_OPTIONS: readonly OptionSpec[] = [
  {
    long: 'workers',
    value: 'N',
    summary: 'Threads to use; 0 for none beside the main one. Chosen by the amount of work when it is not given',
  },
  ...PROGRESS_OPTIONS,
];

/** The directories of `--allow-references`. Throws `UsageError` for one that is not there. */
export function givenReferences(given: GivenArguments): ReferenceRules {
  const directories = given.all(REFERENCES_OPTION.long);
  for (const directory of directories) {
    if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) {
      throw new UsageError(`--allow-references ${directory} is not a directory`);
    }
  }
  return { directories };
}

/** The operand at `index`; the parser has made sure that it is there. */
export function requireOperand(given: GivenArguments, index: number): string {
  const operand = given.operands[index];
  if (operand === undefined || operand === '') throw new UsageError('A file name is empty');
  return operand;
}

/**
 * `key=value` pairs from all of `-o`, comma-separated; a doubled comma stands for a comma in a value, a key alone for
 * `key=on`. Throws `UsageError` for a pair without a key or given twice with different values.
 */
export function parseTargetOptions(texts: readonly string[]): Readonly<Record<string, string>> {
  const options: Record<string, string> = {};
  for (const pair of texts.flatMap(splitAtCommas)) {
    const equals = pair.indexOf('=');
    const key = equals < 0 ? pair : pair.slice(0, equals);
    if (key === '') throw new UsageError(`-o ${pair} has no option name before "="`);
    const value = equals < 0 ? 'on' : pair.slice(equals + 1);
    if (Object.hasOwn(options, key) && options[key] !== value) {
      throw new UsageError(`-o gives ${key} twice, as "${options[key]}" and as "${value}"`);
    }
    options[key] = value;
  }
  return options;
}

function splitAtCommas(text: string): string[] {
  const pairs = text.split(/(?<!,),(?!,)/);
  return pairs.map((pair) => pair.replaceAll(',,', ',')).filter((pair) => pair !== '');
}
