import { alignUp } from '../../bytes/numbers.ts';
import { SECTOR_SIZE } from './sector.ts';

/** Guest bytes of a grain of a new image: the default of the specification. */
export const NEW_GRAIN_SIZE: number = 128 * SECTOR_SIZE;
/** Grain table entries, as the specification fixes them. */
export const NEW_TABLE_ENTRIES = 512;
/** Bytes of a grain table. */
export const NEW_TABLE_SIZE: number = NEW_TABLE_ENTRIES * 4;
/** Guest bytes that a grain table covers. */
export const NEW_TABLE_SPAN: number = NEW_GRAIN_SIZE * NEW_TABLE_ENTRIES;
/** Room for an embedded descriptor: 20 sectors, as VMware leaves. */
export const NEW_DESCRIPTOR_SIZE: number = 20 * SECTOR_SIZE;

/** Where the tables of a new sparse extent lie, all before the first grain; byte offsets in its file. */
export interface SparseLayout {
  readonly descriptorOffset: number;
  readonly descriptorSize: number;
  readonly redundantDirectoryOffset: number;
  readonly redundantTablesOffset: number;
  readonly directoryOffset: number;
  readonly tablesOffset: number;
  readonly tableCount: number;
  /** The first grain. */
  readonly overhead: number;
}

/** Header, descriptor, redundant directory and tables, directory and tables; grains begin at the next multiple of 64 KiB. */
export function sparseLayout(capacity: number, place: 'embedded' | 'separate'): SparseLayout {
  const tableCount = newTableCount(capacity);
  const directorySize = newDirectorySize(capacity);
  const descriptorSize = place === 'embedded' ? NEW_DESCRIPTOR_SIZE : 0;
  const redundantDirectoryOffset = SECTOR_SIZE + descriptorSize;
  const redundantTablesOffset = redundantDirectoryOffset + directorySize;
  const directoryOffset = redundantTablesOffset + tableCount * NEW_TABLE_SIZE;
  const tablesOffset = directoryOffset + directorySize;
  return {
    descriptorOffset: place === 'embedded' ? SECTOR_SIZE : 0,
    descriptorSize,
    redundantDirectoryOffset,
    redundantTablesOffset,
    directoryOffset,
    tablesOffset,
    tableCount,
    overhead: alignUp(tablesOffset + tableCount * NEW_TABLE_SIZE, NEW_GRAIN_SIZE),
  };
}

/** Grain tables that a new extent of this capacity has. */
export function newTableCount(capacity: number): number {
  return Math.ceil(capacity / NEW_TABLE_SPAN);
}

/** Bytes of its grain directory, in whole sectors. */
export function newDirectorySize(capacity: number): number {
  return alignUp(newTableCount(capacity) * 4, SECTOR_SIZE);
}
