import { stat } from 'node:fs/promises';
import type { Examination, ImageInfo } from '@diskmorph/disk-image';
import { cancellableSource } from '@diskmorph/disk-image';
import type { ImageFile } from '@diskmorph/disk-image-node';
import { openPlace, placeOf, requireFormat } from '@diskmorph/disk-image-node';
import type { Command, CommandContext } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { FORMAT_OPTION, JSON_OPTION, requireOperand } from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import { infoText } from '../info-text.ts';
import type { PackedIn } from '../source-image.ts';
import { sourceFacts } from '../source-image.ts';
import { UNPACKING_OPTIONS, withImage } from '../unpacked-source.ts';

/** What `info --json` prints. */
export interface FileInfo extends ImageInfo {
  readonly file: string;
  /** True when nobody named the format. */
  readonly detected: boolean;
  readonly packed?: PackedIn;
  /** Bytes of the file; of the one inside, when it is packed. */
  readonly fileSize: number;
  /** Bytes that the file takes on disk, fewer where it has holes; absent when it is packed. */
  readonly allocatedSize?: number;
  readonly findings: Examination['findings'];
}

/** `diskmorph info`. */
export const infoCommand: Command = {
  name: 'info',
  summary: 'Show what the metadata of an image says. Reads tables only and opens no other file.',
  operands: ['FILE'],
  options: [FORMAT_OPTION, ...UNPACKING_OPTIONS, JSON_OPTION],
  examples: [
    { says: 'format, sizes, snapshots, options', line: 'diskmorph info disk.qcow2' },
    { says: 'the virtual size, in a script', line: "diskmorph info --json disk.vmdk | jq '.virtualSize'" },
  ],
  run: runInfo,
};

function runInfo(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal, signal } = context;
  return withImage({ path: requireOperand(given, 0) }, { given, context }, async (source) => {
    const examination = await examine(source.file, signal);
    const { blocks } = await stat(source.file.path);
    const info: FileInfo = {
      ...sourceFacts(source),
      fileSize: examination.fileSize,
      ...(source.packed === undefined ? { allocatedSize: blocks * 512 } : {}),
      ...examination.info,
      findings: examination.findings,
    };
    if (given.has('json')) await terminal.json(info);
    else await terminal.out(infoText(info, terminal.outStyle));
    return EXIT.ok;
  });
}

async function examine(file: ImageFile, signal: AbortSignal): Promise<Examination & { readonly fileSize: number }> {
  const source = await openPlace(placeOf(file));
  try {
    const examination = await requireFormat(file.format).examine(cancellableSource(source, signal));
    return { ...examination, fileSize: source.size };
  } finally {
    await source.close();
  }
}
