/** The unit of every offset and size in a VMDK, in bytes. Virtual Disk Format 5.0, "Hosted Sparse Extents". */
export const SECTOR_SIZE: number = 512;

/** The largest sector number whose byte offset is still an exact number. */
export const MAX_EXACT_SECTOR: number = Math.floor(Number.MAX_SAFE_INTEGER / SECTOR_SIZE);
