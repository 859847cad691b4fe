import type { XmlElement } from '../bytes/xml.ts';
import { childOf, childrenOf, parseXml } from '../bytes/xml.ts';
import { ImageError } from '../errors.ts';
import { safeName, shownName } from './member-name.ts';

/** An OVF descriptor has a few hundred elements. */
const LIMITS = { maxElements: 20_000, maxDepth: 64 };
export const MAX_OVF_BYTES: number = 4 * 2 ** 20;

/** A disk of the package: DiskSection/Disk with its References/File. DSP0243 (OVF specification 1.1 and 2.1). */
export interface OvfDisk {
  readonly diskId: string;
  /** The name of its file in the package. */
  readonly name: string;
  /** Bytes of the file, when the descriptor says. */
  readonly size?: number;
}

/**
 * The disks that have a file in the package, in order. Throws `corrupt`, `unsafe` (a file outside the package),
 * `unsupported` (files in chunks).
 */
export function disksOfOvf(bytes: Uint8Array): readonly OvfDisk[] {
  const root = parseXml(bytes, LIMITS);
  if (root.name !== 'Envelope') throw ovfError('corrupt', 'The OVF descriptor has no Envelope');
  const files = new Map<string, XmlElement>();
  for (const file of childrenOf(childOf(root, 'References'), 'File')) files.set(file.attributes.get('id') ?? '', file);
  const disks = childrenOf(root, 'DiskSection').flatMap((section) => childrenOf(section, 'Disk'));
  return disks.flatMap((disk) => {
    const reference = disk.attributes.get('fileRef');
    if (reference === undefined || reference === '') return [];
    const file = files.get(reference);
    if (file === undefined) throw ovfError('corrupt', `The OVF descriptor has no file ${shownName(reference)}`);
    return [{ diskId: disk.attributes.get('diskId') ?? reference, ...fileOf(file) }];
  });
}

function fileOf(file: XmlElement): Pick<OvfDisk, 'name' | 'size'> {
  const href = file.attributes.get('href') ?? '';
  if (/^[a-z][a-z0-9+.-]*:/i.test(href)) {
    throw ovfError('unsafe', `The OVF descriptor names a file outside the package: ${shownName(href)}`);
  }
  if (file.attributes.has('chunkSize')) {
    throw ovfError('unsupported', `The disk ${shownName(href)} is split into chunks`);
  }
  const size = file.attributes.get('size');
  if (size === undefined) return { name: safeName(href) };
  if (!/^\d{1,16}$/.test(size)) throw ovfError('corrupt', 'The OVF descriptor has an impossible size');
  return { name: safeName(href), size: Number(size) };
}

/** An error about the descriptor. */
export function ovfError(code: 'corrupt' | 'unsafe' | 'unsupported' | 'out_of_bounds', message: string): ImageError {
  return new ImageError(code, message, { structure: 'OVF descriptor' });
}
