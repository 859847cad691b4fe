/** Small VMDKs in memory, and ways to damage them. */
import { memorySource } from '../src/bytes/byte-source.ts';
import { portableCodecs } from '../src/bytes/portable-codecs.ts';
import { convertInMemory } from '../src/convert/convert-in-memory.ts';
import { raw } from '../src/formats/raw/raw.ts';
import { vmdk } from '../src/formats/vmdk/vmdk.ts';
import type { DiskImage } from '../src/image/disk-image.ts';
import type { Examination, GivenOptions } from '../src/image/format.ts';
import type { ReferencePolicy } from '../src/image/reference.ts';
import { denyReferences } from '../src/image/reference.ts';

export type Files = ReadonlyMap<string, Uint8Array>;

/** The name that the image's own file has in `Files`. */
export const OWN_NAME = 'disk.vmdk';

/** A VMDK of the options that holds `guest`. */
export async function vmdkOf(guest: Uint8Array, options: GivenOptions = {}): Promise<Files> {
  if (raw.open === undefined) throw new Error('raw can be opened');
  const source = await raw.open(memorySource(guest), { codecs: portableCodecs, references: denyReferences });
  const { files } = await convertInMemory({
    source,
    target: vmdk,
    options,
    fileName: OWN_NAME,
    codecs: portableCodecs,
  });
  return new Map([...files].map(([name, bytes]) => [name, bytes.slice()]));
}

/** The image's own file of a VMDK. */
export function own(files: Files): Uint8Array {
  const bytes = files.get(OWN_NAME);
  if (bytes === undefined) throw new Error('an image has a file of its own');
  return bytes;
}

/** Grants the other files, and keeps every name asked for. */
export function granting(files: Files, asked: string[] = []): ReferencePolicy {
  return async (reference) => {
    asked.push(reference.name);
    const bytes = files.get(reference.name);
    if (bytes === undefined) return denyReferences(reference);
    return { source: memorySource(bytes), identity: reference.name, references: denyReferences };
  };
}

export async function openMemory(bytes: Uint8Array, references: ReferencePolicy = denyReferences): Promise<DiskImage> {
  if (vmdk.open === undefined) throw new Error('vmdk can be opened');
  return vmdk.open(memorySource(bytes), { codecs: portableCodecs, references });
}

export async function examineMemory(bytes: Uint8Array): Promise<Examination> {
  return vmdk.examine(memorySource(bytes));
}

/** All guest bytes, read in pieces of `step`. */
export async function readAll(image: DiskImage, step: number = 262_144): Promise<Uint8Array> {
  const guest = new Uint8Array(image.virtualSize);
  for (let offset = 0; offset < guest.length; offset += step) {
    await image.read(offset, guest.subarray(offset, Math.min(guest.length, offset + step)));
  }
  return guest;
}

/** A copy of `bytes` changed by `edit`. */
export function edited(bytes: Uint8Array, edit: (view: DataView, copy: Uint8Array) => void): Uint8Array {
  const copy = bytes.slice();
  edit(new DataView(copy.buffer), copy);
  return copy;
}

/** A copy of an image whose embedded descriptor has `from` replaced by `to`. */
export function withDescriptor(bytes: Uint8Array, from: string, to: string): Uint8Array {
  return edited(bytes, (_view, copy) => {
    const room = copy.subarray(512, 512 + 20 * 512);
    const text = new TextDecoder('latin1').decode(room);
    if (!text.includes(from)) throw new Error(`the descriptor has no ${from}`);
    const changed = text.replace(from, to).slice(0, room.length);
    room.set(Uint8Array.from(changed, (character) => character.charCodeAt(0)));
  });
}

/** The bytes of a descriptor file with the given extent lines. */
export function descriptorFile(extents: readonly string[], changes: Readonly<Record<string, string>> = {}): Uint8Array {
  const header = { version: '1', CID: '12345678', parentCID: 'ffffffff', createType: '"monolithicFlat"', ...changes };
  const lines = ['# Disk DescriptorFile', ...Object.entries(header).map(([key, value]) => `${key}=${value}`)];
  return new TextEncoder().encode(`${[...lines, '', '# Extent description', ...extents].join('\n')}\n`);
}

/** The code of the ImageError that `work` ends with, or `none`; any other error is thrown on. */
export async function refusal(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return 'none';
  } catch (error) {
    const { ImageError } = await import('../src/errors.ts');
    if (error instanceof ImageError) return error.code;
    throw error;
  }
}
