import type { WritableImageFile } from '../../../image/editor.ts';
import type { GivenOptions } from '../../../image/format.ts';
import { booleanOption, choiceOption, integerOption, sizeOption } from '../../../image/options.ts';
import type { ImageReference } from '../../../image/reference.ts';
import { COMPATIBLE, INCOMPATIBLE, writtenHeaderLength } from '../header.ts';
import { isPowerOfTwo } from '../../../bytes/numbers.ts';
import { qcow2Error } from '../qcow2-error.ts';
import { backingChange } from './backing.ts';
import type { EditedImage } from './edited-image.ts';
import { openForChange } from './edited-image.ts';
import type { HeaderChange } from './header-switch.ts';
import { switchHeader } from './header-switch.ts';
import { replaceSnapshotTable } from './snapshots.ts';
import { readSnapshotEntries, withDiskSize } from './snapshot-entry.ts';
import { repairDirty } from './repair.ts';
import { resizeQcow2 } from './resize.ts';
import { transaction } from './transaction.ts';
import { expandZeroClusters } from './zero-expansion.ts';
import { readBlockOffsets } from './shadow-refcounts.ts';

const VERSION_2_REFCOUNT_ORDER = 4;
const OPTIONS = ['compat', 'lazy_refcounts', 'refcount_bits', 'backing_file', 'backing_fmt', 'size'];
/** Options of new images that an existing one keeps; giving the value that it has is no change. */
const FIXED_OPTIONS = ['cluster_size', 'extended_l2', 'compression_type', 'preallocation', 'data_file', 'encryption'];

/** The steps of an amendment, each a change of its own: a crash between two leaves the earlier ones done. */
interface Amendment {
  readonly version: 2 | 3;
  readonly refcountOrder: number;
  readonly lazyRefcounts: boolean;
  readonly backing: ImageReference | undefined | 'kept';
  readonly virtualSize: number | undefined;
}

/**
 * Changes compat, lazy_refcounts, refcount_bits, backing_file and backing_fmt, and size upwards. Version 2 takes only
 * what it can express: refcounts of 16 bits, none of the later features; zero clusters become clusters of zeros, or
 * unallocated where no backing image lies below. Throws `unsupported` or `out_of_bounds`, naming the option.
 */
export async function amendQcow2(file: WritableImageFile, given: GivenOptions): Promise<void> {
  const terms = { externalData: 'allowed', repair: repairDirty } as const;
  const first = await openForChange(file, terms);
  const planned = planAmendment(first, given);
  const { header } = first.metadata;
  const open = (): Promise<EditedImage> => openForChange(file, terms);
  if (planned.virtualSize !== undefined) {
    await resizeQcow2(file, { virtualSize: planned.virtualSize, shrink: 'refuse', preallocation: 'off' });
  }
  if (planned.version > header.version) await upgrade(await open());
  if (planned.refcountOrder !== header.refcountOrder) await changeRefcountWidth(await open(), planned.refcountOrder);
  if (planned.lazyRefcounts !== hasLazyRefcounts(first)) await changeLazyRefcounts(await open(), planned.lazyRefcounts);
  if (planned.backing !== 'kept') {
    const image = await open();
    await switchHeader(image, { fields: {}, ...backingChange(image, planned.backing) });
  }
  if (planned.version < header.version) await downgrade(await open());
}

function planAmendment(image: EditedImage, given: GivenOptions): Amendment {
  for (const name of Object.keys(given)) refuseFixed(name);
  const { header } = image.metadata;
  const compat = choiceOption(given, 'compat', ['0.10', 'v2', '1.1', 'v3'], header.version === 2 ? '0.10' : '1.1');
  const version = compat === '0.10' || compat === 'v2' ? 2 : 3;
  const bits = integerOption(given, 'refcount_bits', { min: 1, max: 64 }) ?? 2 ** header.refcountOrder;
  if (!isPowerOfTwo(bits)) throw refused('out_of_bounds', `Option refcount_bits=${bits} is no power of two up to 64`);
  const lazyRefcounts = booleanOption(given, 'lazy_refcounts', hasLazyRefcounts(image) && version === 3);
  if (version === 2) checkVersion2(image, { bits, lazyRefcounts });
  return {
    version,
    refcountOrder: Math.log2(bits),
    lazyRefcounts,
    backing: plannedBacking(image, given),
    virtualSize: sizeOption(given, 'size'),
  };
}

function refuseFixed(name: string): void {
  if (OPTIONS.includes(name)) return;
  const isFixed = FIXED_OPTIONS.some((fixed) => name === fixed || name.startsWith('encrypt'));
  throw refused(
    'unsupported',
    isFixed
      ? `Option ${name} cannot be changed in an existing image`
      : `qcow2 cannot amend an option "${name}"; it can ${OPTIONS.join(', ')}`,
  );
}

function plannedBacking(image: EditedImage, given: GivenOptions): Amendment['backing'] {
  const { backing_file: name = image.metadata.backingFile, backing_fmt: format } = given;
  if (given['backing_file'] === undefined && format === undefined) return 'kept';
  if (name === undefined || name === '') return undefined;
  const kept = given['backing_file'] === undefined ? image.metadata.extensions.backingFormat : undefined;
  const chosen = format ?? kept;
  return { kind: 'backing', name, ...(chosen === undefined ? {} : { format: chosen }) };
}

function checkVersion2(image: EditedImage, wanted: { readonly bits: number; readonly lazyRefcounts: boolean }): void {
  const { header, bitmaps, geometry } = image.metadata;
  if (wanted.bits !== 2 ** VERSION_2_REFCOUNT_ORDER) throw noVersion2('its refcounts have 16 bits (refcount_bits=16)');
  if (wanted.lazyRefcounts) throw noVersion2('it has no lazy_refcounts');
  if (bitmaps.length > 0) throw noVersion2('it has no persistent bitmaps; remove them first');
  if (geometry.externalData) throw noVersion2('it has no external data file');
  const others = header.incompatibleFeatures & ~(INCOMPATIBLE.dirty | INCOMPATIBLE.corrupt);
  if (others !== 0n) throw noVersion2('it has neither extended L2 entries nor another compression than zlib');
}

function noVersion2(because: string): Error {
  return refused('unsupported', `compat=0.10 is not possible: ${because}`);
}

/** Version 3, whose snapshots say how large the disk was. */
async function upgrade(image: EditedImage): Promise<void> {
  const { header } = image.metadata;
  const change = await transaction(image);
  const entries = await readSnapshotEntries(image);
  const tables =
    entries.length === 0
      ? {}
      : await replaceSnapshotTable(
          change,
          entries.map((entry) => withDiskSize(entry, header.virtualSize)),
        );
  const fields = { ...tables, version: 3, headerLength: writtenHeaderLength(3) } as const;
  await change.commit({ fields });
}

async function downgrade(image: EditedImage): Promise<void> {
  const change = await transaction(image);
  const fields: HeaderChange['fields'] = {
    ...(await expandZeroClusters(change)),
    version: 2,
    headerLength: writtenHeaderLength(2),
  };
  await change.commit({ fields });
}

/** Writes every refcount anew in another width. Throws `unsupported` when one is too large for it. */
async function changeRefcountWidth(image: EditedImage, refcountOrder: number): Promise<void> {
  const { geometry } = image.metadata;
  const blocks = await readBlockOffsets(image);
  const change = await transaction(image, { blockOffsets: blocks, refcountOrder });
  for (const offset of blocks) if (offset !== 0) await change.change(offset, geometry.clusterSize, -1);
  await change.commit({ fields: { refcountOrder } });
}

async function changeLazyRefcounts(image: EditedImage, lazyRefcounts: boolean): Promise<void> {
  const { compatibleFeatures: old } = image.metadata.header;
  const bit = COMPATIBLE.lazyRefcounts;
  const compatibleFeatures = lazyRefcounts ? old | bit : old & ~bit;
  await switchHeader(image, { fields: { compatibleFeatures } });
}

function hasLazyRefcounts(image: EditedImage): boolean {
  return (image.metadata.header.compatibleFeatures & COMPATIBLE.lazyRefcounts) !== 0n;
}

function refused(code: 'unsupported' | 'out_of_bounds', message: string): Error {
  return qcow2Error(code, message, { structure: 'options' });
}
