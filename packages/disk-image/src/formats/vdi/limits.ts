/** 4 Mi blocks: 4 TiB in the usual blocks of 1 MiB. */
export const MAX_BLOCK_MAP_BYTES: number = 16 * 2 ** 20;
export const MAX_BLOCK_SIZE: number = 256 * 2 ** 20;
/** What new images may have; VirtualBox wants powers of two. */
export const MIN_NEW_BLOCK_SIZE: number = 4096;
export const SECTOR_SIZE = 512;
