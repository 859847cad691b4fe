export const SECTOR_SIZE = 512;
/** 2040 GiB: what sector numbers of 32 bits can address, blocks and bitmaps included. */
export const MAX_DISK_SIZE: number = 0xff000000 * SECTOR_SIZE;
/** 2040 GiB in blocks of 512 KiB, the smallest that Hyper-V makes, need 16 MiB. */
export const MAX_BAT_BYTES: number = 16 * 2 ** 20;
export const MAX_BLOCK_SIZE: number = 2 ** 31;
export const MAX_PARENT_LOCATOR_BYTES: number = 64 * 1024;
/** What new dynamic disks may have. */
export const MIN_NEW_BLOCK_SIZE: number = 64 * 1024;
export const MAX_NEW_BLOCK_SIZE: number = 256 * 2 ** 20;
