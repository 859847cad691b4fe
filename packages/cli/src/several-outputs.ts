import path from 'node:path';
import type { TargetProfile } from '@diskmorph/disk-image';
import type { FinishedTarget } from '@diskmorph/disk-image-node';
import { requireFormat } from '@diskmorph/disk-image-node';
import { UsageError } from './arguments/command.ts';
import { finishFor } from './output-request.ts';
import { requireTarget } from './target-profile.ts';

/** `FORMAT[:SUBFORMAT][,OPTION=VALUE...][=PATH]`: what follows the `=` that ends it is the path, whatever stands in it. */
const OUTPUT = /^(?<format>[^:,=]+)(?::(?<subformat>[^,=]+))?(?<options>(?:,[^,=]+=[^,=]*)*)(?:=(?<path>.+))?$/;

/** One of several outputs. */
export interface SeveralOutput {
  readonly target: FinishedTarget;
  /** Of `--for`. */
  readonly profile?: TargetProfile;
}

interface WantedOutput {
  /** As it was given, with its option. */
  readonly text: string;
  readonly target: Omit<FinishedTarget, 'path'>;
  readonly profile?: TargetProfile;
  readonly path: string | undefined;
  /** What may follow the source's name, the first that is free. */
  readonly endings: readonly string[];
}

/** What the command line says about several outputs. */
export interface SeveralRequest extends Pick<FinishedTarget, 'checksums'> {
  /** Values of `--to`. */
  readonly formats: readonly string[];
  /** Values of `--for`. */
  readonly targets: readonly string[];
  readonly sourcePath: string;
}

/** True when the values of `--for` ask for several outputs, or for one that is placed like them. */
export function areSeveral(targets: readonly string[]): boolean {
  return targets.length > 1 || targets.some((text) => text.includes('='));
}

/**
 * The outputs of all `--to` and `--for`. One without a path lies beside the source: one of `--to` under its name with the
 * format's for an ending, and where that is taken with the subformat before it; one of `--for` with the target's name and
 * the usual ending. Throws `UsageError`.
 */
export function severalOutputs(request: SeveralRequest): readonly SeveralOutput[] {
  const { sourcePath, checksums = [] } = request;
  const wanted = [...request.formats.map(parseOutput), ...request.targets.map(parseTarget)];
  const taken = new Set(
    [sourcePath, ...wanted.flatMap((output) => output.path ?? [])].map((file) => path.resolve(file)),
  );
  return wanted.map((output) => {
    const target = { ...output.target, path: output.path ?? freeName(output, sourcePath, taken), checksums };
    return output.profile === undefined ? { target } : { target, profile: output.profile };
  });
}

/** `TARGET[=PATH]`. */
function parseTarget(text: string): WantedOutput {
  const equals = text.indexOf('=');
  const profile = requireTarget(equals < 0 ? text : text.slice(0, equals));
  const { format, options, extension } = profile.output;
  return {
    text: `--for ${text}`,
    target: { format, options, ...finishFor(profile) },
    profile,
    path: equals < 0 ? undefined : text.slice(equals + 1),
    endings: [`${profile.name}.${extension}`],
  };
}

function parseOutput(text: string): WantedOutput {
  const parts = OUTPUT.exec(text)?.groups;
  if (parts === undefined) {
    throw new UsageError(`--to ${text} is not FORMAT[:SUBFORMAT][,OPTION=VALUE...][=PATH]`);
  }
  const { name, writer } = requireFormat(parts['format'] ?? '');
  const subformat = parts['subformat'];
  if (subformat !== undefined && writer?.options.some((option) => option.name === 'subformat') !== true) {
    throw new UsageError(`--to ${text}: ${name} has no subformats; "diskmorph formats ${name}" lists its options`);
  }
  const options = {
    ...(subformat === undefined ? {} : { subformat }),
    ...Object.fromEntries(pairsOf(parts['options'] ?? '')),
  };
  return {
    text: `--to ${text}`,
    target: { format: name, options },
    path: parts['path'],
    endings: [name, ...(subformat === undefined ? [] : [`${subformat}.${name}`])],
  };
}

function pairsOf(text: string): (readonly [string, string])[] {
  const pairs = text.split(',').filter((pair) => pair !== '');
  return pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]);
}

function freeName({ text, endings }: WantedOutput, sourcePath: string, taken: Set<string>): string {
  const { dir, name } = path.parse(sourcePath);
  const free = endings
    .map((ending) => path.join(dir, `${name}.${ending}`))
    .find((file) => !taken.has(path.resolve(file)));
  if (free === undefined) throw new UsageError(`${text} needs a path: ${text}=PATH`);
  taken.add(path.resolve(free));
  return free;
}
