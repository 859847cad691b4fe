import type { ByteSource, Format } from '@diskmorph/disk-image';
import { findFormat, formats, PROBE_HEAD_SIZE, readBytes } from '@diskmorph/disk-image';

/**
 * The format that qemu-img would find: signatures at the beginning only, so that a fixed VHD and a disk image with its
 * trailer at the end are raw unless the caller names the format (or the file's name ends in `.dmg`).
 */
export async function detectDriver(source: ByteSource, path: string): Promise<Format> {
  const head = await readBytes(source, 0, Math.min(source.size, PROBE_HEAD_SIZE));
  const tail = new Uint8Array(0);
  const byEnding = path.endsWith('.dmg') ? findFormat('dmg') : undefined;
  const found = byEnding ?? formats.find((format) => format.probe({ size: source.size, head, tail }));
  const raw = findFormat('raw');
  if (found === undefined || raw === undefined) throw new Error('assertion failed: every file can be raw');
  return found;
}
