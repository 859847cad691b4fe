export const KIB = 1024;
export const MIB: number = 2 ** 20;

/** [MS-VHDX] 2.6.2.1. */
export const MIN_BLOCK_SIZE: number = MIB;
export const MAX_BLOCK_SIZE: number = 256 * MIB;
/** [MS-VHDX] 2.6.2.2: 64 TiB. */
export const MAX_DISK_SIZE: number = 64 * 2 ** 40;
/** Payload blocks of the largest disk in the smallest blocks need somewhat more than 512 MiB of table. */
export const MAX_REGION_BYTES: number = 1024 * MIB;
/** The log length field has 32 bits and counts whole MiB. */
export const MAX_LOG_BYTES: number = 4095 * MIB;
/** The log that is replayed is held in memory. Hyper-V and QEMU write logs of 1 MiB. */
export const MAX_REPLAYED_LOG_BYTES: number = 16 * MIB;
/** Updates of one replay: four times what a log of 16 MiB can hold as data sectors. */
export const MAX_LOG_UPDATES: number = 2 ** 14;
/** Bytes that are summed while a log is searched, in multiples of its length; an honest log needs two. */
export const MAX_LOG_SCANS = 8;
/** A check keeps one bit for each MiB of the file: 16 MiB of memory for 128 TiB. */
export const MAX_CHECKED_FILE_MIB: number = 2 ** 27;

/** Sectors for which one sector bitmap block has bits: [MS-VHDX] 2.4. */
export const SECTORS_PER_BITMAP_BLOCK: number = 2 ** 23;
/** A sector bitmap block has the same size for all block sizes. */
export const BITMAP_BLOCK_SIZE: number = MIB;
export const SECTOR_SIZES: ReadonlySet<number> = new Set([512, 4096]);
