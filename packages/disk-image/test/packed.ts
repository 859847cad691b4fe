/** Bytes packed by the programs that people pack images with. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { requirePackage } from '../../../fixtures/peers.ts';
import { inScratchFolder } from './goldens.ts';

/** The Debian package that brings each program. */
const PACKAGES: Readonly<Record<string, string>> = {
  gzip: 'gzip',
  xz: 'xz-utils',
  zstd: 'zstd',
  bzip2: 'bzip2',
  zip: 'zip',
  tar: 'tar',
  python3: 'python3',
};

/** What the program writes to its standard output when it is fed `input`. Installs it where that is allowed. */
export async function packedBy(
  program: string,
  options: readonly string[],
  input: Uint8Array = new Uint8Array(0),
  folder?: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const path = await requirePackage(program, PACKAGES[program] ?? program);
  return new Promise((resolve, reject) => {
    const settings = {
      encoding: 'buffer',
      maxBuffer: 2 ** 30,
      ...(folder === undefined ? {} : { cwd: folder }),
    } as const;
    const child = execFile(path, [...options], settings, (error, stdout, stderr) => {
      if (error === null) resolve(Uint8Array.from(stdout));
      else reject(new Error(`${program} failed: ${stderr.toString()}`, { cause: error }));
    });
    // A program that reads nothing may be gone before its input is closed.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

/** A tar archive of `disk.img` with the content, its zeros as holes. */
export async function sparseTar(format: string, content: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  return inScratchFolder(async (folder) => {
    await writeFile(join(folder, 'full'), content);
    const script = `cp --sparse=always full disk.img && tar -cS --hole-detection=raw --format=${format} disk.img`;
    return packedBy('sh', ['-c', script], undefined, folder);
  });
}

/** The pieces as one. */
export async function collected(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece.slice());
  return Uint8Array.from(Buffer.concat(parts));
}
