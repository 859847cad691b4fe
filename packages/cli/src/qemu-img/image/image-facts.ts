import type { ImageInfo, JsonValue } from '@diskmorph/disk-image';
import { alignUp, findFormat } from '@diskmorph/disk-image';
import { openFileSourceSync } from '@diskmorph/disk-image-node';
import { Failure } from '../failure.ts';
import { qemuName } from '../format-names.ts';
import type { Json } from '../text/json-text.ts';
import type { KnownImage } from './image-source.ts';
import { allocatedBytes, examineImage, referencedPath } from './image-source.ts';

/** Everything that `info` says about one image of a chain. */
export interface ImageFacts {
  readonly image: KnownImage;
  readonly info: ImageInfo;
  readonly format: string;
  readonly virtualSize: number;
  readonly actualSize: number;
  readonly clusterSize: number | undefined;
  readonly encrypted: boolean;
  /** Undefined for formats that have nothing to say about it. */
  readonly dirty: boolean | undefined;
  readonly backing: BackingFacts | undefined;
  readonly specific: { readonly type: string; readonly data: { readonly [key: string]: Json } } | undefined;
}

/** The backing image as the header names it. */
export interface BackingFacts {
  readonly name: string;
  readonly fullName: string;
  readonly format: string | undefined;
}

const SECTOR_SIZE = 512;
/** Formats of which qemu-img reports neither a cluster size nor whether they were closed. */
const WITHOUT_STATE: ReadonlySet<string> = new Set(['parallels', 'dmg', 'cloop', 'bochs']);
/** Formats for which qemu-img does not show what the backing image's format is. */
const WITHOUT_BACKING_FORMAT: ReadonlySet<string> = new Set(['qcow']);

/** Examines the image. Throws a failure. */
export async function imageFacts(image: KnownImage): Promise<ImageFacts> {
  const { location, format } = image;
  const { info } = await examineImage(image);
  if (format.name === 'vmdk' && info.details['cid'] === undefined) {
    throw new Failure(`Could not open '${location.given}': Could not open '${location.given}': Invalid argument`);
  }
  const name = qemuName(format.name);
  const extents = format.name === 'vmdk' ? await vmdkExtents(image, info) : [];
  return {
    image,
    info,
    format: name,
    virtualSize: alignUp(location.window?.size ?? info.virtualSize, SECTOR_SIZE),
    actualSize: await allocatedBytes([
      location.path,
      ...extents.flatMap(({ path }) => (path === undefined ? [] : path)),
    ]),
    clusterSize: WITHOUT_STATE.has(name) ? undefined : clusterSizeOf(info, extents),
    encrypted: info.encryption !== undefined,
    // Of the others that can be dirty, qemu-img 7.2 says so only when it checks them.
    dirty: WITHOUT_STATE.has(name) ? undefined : name === 'qcow2' && info.dirty,
    backing: backingFacts(info, location.path),
    specific: specificFacts(image, info, extents),
  };
}

function clusterSizeOf(info: ImageInfo, extents: readonly VmdkExtent[]): number | undefined {
  if (info.format === 'raw' || info.format === 'luks' || (info.subformat === 'fixed' && info.format === 'vhd'))
    return undefined;
  return info.unitSize ?? extents.find((extent) => extent.clusterSize !== undefined)?.clusterSize;
}

function backingFacts(info: ImageInfo, path: string): BackingFacts | undefined {
  const reference = info.backing ?? info.references.find(({ kind }) => kind === 'backing' || kind === 'parent');
  if (reference === undefined || reference.name === '') return undefined;
  const hidden = WITHOUT_BACKING_FORMAT.has(info.format) || (reference.kind === 'parent' && info.format !== 'vmdk');
  return {
    name: reference.name,
    fullName: referencedPath(path, reference.name) ?? reference.name,
    format: hidden || reference.format === undefined ? undefined : reference.format,
  };
}

function specificFacts(image: KnownImage, info: ImageInfo, extents: readonly VmdkExtent[]): ImageFacts['specific'] {
  if (info.format === 'qcow2') return { type: 'qcow2', data: qcow2Data(info) };
  if (info.format === 'vmdk') return { type: 'vmdk', data: vmdkData(image.location.path, info, extents) };
  return undefined;
}

function qcow2Data(info: ImageInfo): { readonly [key: string]: Json } {
  const { details } = info;
  const field = (key: string): Json => asJson(details[key]);
  if (details['version'] === 2) {
    return {
      compat: field('compat'),
      'compression-type': field('compression-type'),
      'refcount-bits': field('refcount-bits'),
    };
  }
  const external = 'data-file' in details;
  return {
    compat: field('compat'),
    'compression-type': field('compression-type'),
    'lazy-refcounts': field('lazy-refcounts'),
    ...('bitmaps' in details ? { bitmaps: bitmaps(details['bitmaps']) } : {}),
    'refcount-bits': field('refcount-bits'),
    ...(external ? { 'data-file': field('data-file'), 'data-file-raw': field('data-file-raw') } : {}),
    ...('encrypt' in details ? { encrypt: { format: field('encrypt') } } : {}),
    corrupt: field('corrupt'),
    'extended-l2': field('extended-l2'),
  };
}

function bitmaps(listed: JsonValue | undefined): Json {
  if (!Array.isArray(listed)) return [];
  return listed.map((bitmap: JsonValue) => {
    const fields = isObject(bitmap) ? bitmap : {};
    return { flags: asJson(fields['flags']), name: asJson(fields['name']), granularity: asJson(fields['granularity']) };
  });
}

function asJson(value: JsonValue | undefined): Json {
  return value ?? null;
}

function isObject(value: JsonValue): value is { readonly [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One line of a VMDK descriptor. */
interface VmdkExtent {
  readonly virtualSize: number;
  /** The file that holds it when that is not the image's own. */
  readonly path: string | undefined;
  readonly type: string;
  readonly clusterSize: number | undefined;
  readonly compressed: boolean;
}

async function vmdkExtents(image: KnownImage, info: ImageInfo): Promise<VmdkExtent[]> {
  const listed = info.details['extents'];
  if (!Array.isArray(listed)) return [];
  const names = new Set(info.references.filter(({ kind }) => kind === 'extent').map(({ name }) => name));
  const extents: VmdkExtent[] = [];
  for (const entry of listed as readonly JsonValue[]) {
    const line = isObject(entry) ? entry : {};
    const fileName = String(line['filename'] ?? '');
    const path = names.has(fileName) ? referencedPath(image.location.path, fileName) : undefined;
    const type = String(line['format'] ?? '');
    const own = line['cluster-size'];
    extents.push({
      virtualSize: Number(line['virtual-size']),
      path,
      type,
      clusterSize: typeof own === 'number' ? own : type === 'SPARSE' ? await grainSize(path) : undefined,
      compressed: line['compressed'] === true,
    });
  }
  return extents;
}

async function grainSize(path: string | undefined): Promise<number | undefined> {
  if (path === undefined || process.env['DISKMORPH_REFERENCES'] === 'deny') return undefined;
  try {
    const source = openFileSourceSync(path);
    try {
      return (await findFormat('vmdk')?.examine(source))?.info.unitSize;
    } finally {
      await source.close();
    }
  } catch {
    return undefined;
  }
}

function vmdkData(path: string, info: ImageInfo, extents: readonly VmdkExtent[]): { readonly [key: string]: Json } {
  const { details } = info;
  const own = info.references.find(({ kind }) => kind === 'extent') === undefined;
  return {
    cid: asJson(details['cid']),
    'parent-cid': asJson(details['parent-cid']),
    'create-type': asJson(details['create-type']),
    extents: extents.map((extent) => ({
      ...(extent.compressed ? { compressed: true } : {}),
      'virtual-size': extent.virtualSize,
      filename: extent.path ?? path,
      ...(extent.clusterSize === undefined ? {} : { 'cluster-size': extent.clusterSize }),
      format: own ? '' : extent.type,
    })),
  };
}
