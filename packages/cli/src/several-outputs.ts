import path from 'node:path';
import type { GivenOptions } from '@diskmorph/disk-image';
import type { TargetFileRequest } from '@diskmorph/disk-image-node';
import { requireFormat } from '@diskmorph/disk-image-node';
import { UsageError } from './arguments/command.ts';

/** `FORMAT[:SUBFORMAT][,OPTION=VALUE...][=PATH]`: what follows the `=` that ends it is the path, whatever stands in it. */
const OUTPUT = /^(?<format>[^:,=]+)(?::(?<subformat>[^,=]+))?(?<options>(?:,[^,=]+=[^,=]*)*)(?:=(?<path>.+))?$/;

interface WantedOutput {
  readonly text: string;
  readonly format: string;
  readonly subformat: string | undefined;
  readonly options: GivenOptions;
  readonly path: string | undefined;
}

/**
 * The outputs of all `--to`. One without a path lies beside the source under its name with the format's for an ending;
 * where that is taken, with the subformat before it. Throws `UsageError`.
 */
export function severalOutputs(
  texts: readonly string[],
  about: { readonly sourcePath: string } & Pick<TargetFileRequest, 'checksums'>,
): readonly TargetFileRequest[] {
  const { sourcePath, checksums = [] } = about;
  const wanted = texts.map(parseOutput);
  const taken = new Set(
    [sourcePath, ...wanted.flatMap((output) => output.path ?? [])].map((file) => path.resolve(file)),
  );
  return wanted.map((output) => {
    const { format, options } = output;
    return { format, options, path: output.path ?? freeName(output, sourcePath, taken), checksums };
  });
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
  return { text, format: name, subformat, options, path: parts['path'] };
}

function pairsOf(text: string): (readonly [string, string])[] {
  const pairs = text.split(',').filter((pair) => pair !== '');
  return pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]);
}

function freeName({ text, format, subformat }: WantedOutput, sourcePath: string, taken: Set<string>): string {
  const { dir, name } = path.parse(sourcePath);
  const endings = [format, ...(subformat === undefined ? [] : [`${subformat}.${format}`])];
  const free = endings
    .map((ending) => path.join(dir, `${name}.${ending}`))
    .find((file) => !taken.has(path.resolve(file)));
  if (free === undefined) throw new UsageError(`--to ${text} needs a path: --to ${text}=PATH`);
  taken.add(path.resolve(free));
  return free;
}
