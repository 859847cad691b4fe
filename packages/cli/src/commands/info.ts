import { stat } from 'node:fs/promises';
import type { Examination, ImageInfo } from '@diskmorph/disk-image';
import { openFileSource, requireFormat } from '@diskmorph/disk-image-node';
import type { Command, CommandContext } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { FORMAT_OPTION, JSON_OPTION, requireOperand } from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import { infoText } from '../info-text.ts';
import { sourceImage } from '../source-image.ts';

/** What `info --json` prints. */
export interface FileInfo extends ImageInfo {
  readonly file: string;
  /** True when nobody named the format. */
  readonly detected: boolean;
  /** Bytes of the file. */
  readonly fileSize: number;
  /** Bytes that the file takes on disk; fewer where it has holes. */
  readonly allocatedSize: number;
  readonly findings: Examination['findings'];
}

/** `diskmorph info`. */
export const infoCommand: Command = {
  name: 'info',
  summary: 'Show what the metadata of an image says. Reads tables only and opens no other file.',
  operands: ['FILE'],
  options: [FORMAT_OPTION, JSON_OPTION],
  examples: [
    { says: 'format, sizes, snapshots, options', line: 'diskmorph info disk.qcow2' },
    { says: 'the virtual size, in a script', line: "diskmorph info --json disk.vmdk | jq '.virtualSize'" },
  ],
  run: runInfo,
};

async function runInfo(given: GivenArguments, { terminal }: CommandContext): Promise<number> {
  const path = requireOperand(given, 0);
  const { file, detected } = await sourceImage(path, given);
  const examination = await examine(path, file.format);
  const { blocks } = await stat(path);
  const info: FileInfo = {
    file: path,
    detected,
    fileSize: examination.fileSize,
    allocatedSize: blocks * 512,
    ...examination.info,
    findings: examination.findings,
  };
  if (given.has('json')) await terminal.json(info);
  else await terminal.out(infoText(info, terminal.outStyle));
  return EXIT.ok;
}

async function examine(path: string, format: string): Promise<Examination & { readonly fileSize: number }> {
  const source = await openFileSource(path);
  try {
    return { ...(await requireFormat(format).examine(source)), fileSize: source.size };
  } finally {
    await source.close();
  }
}
