/** The bounds that every number from a qcow2 file meets before it is used. Where QEMU has the same bound, it says so. */

/** Smallest cluster: 512 bytes. qcow2 specification, "Header", cluster_bits. */
export const MIN_CLUSTER_BITS: number = 9;
/** Largest cluster: 2 MiB, as in QEMU. qcow2 specification, "Header", cluster_bits. */
export const MAX_CLUSTER_BITS: number = 21;
/** Smallest cluster that can have subclusters: 16 KiB. qcow2 specification, "Header", cluster_bits. */
export const MIN_EXTENDED_L2_CLUSTER_BITS: number = 14;
/** Subclusters in a cluster. qcow2 specification, "Extended L2 Entries". */
export const SUBCLUSTERS: number = 32;
/** Widest refcount: 64 bits. qcow2 specification, "Header", refcount_order. */
export const MAX_REFCOUNT_ORDER: number = 6;
/** Bytes of the largest L1 table, as in QEMU. qcow2 specification, "Header", size. */
export const MAX_L1_TABLE_SIZE: number = 32 * 2 ** 20;
/** Bytes of the largest refcount table, as in QEMU. qcow2 specification, "Host cluster management". */
export const MAX_REFCOUNT_TABLE_SIZE: number = 8 * 2 ** 20;
/** Bytes of the longest backing or data file name. qcow2 specification, "Header", backing_file_size. */
export const MAX_FILE_NAME_LENGTH: number = 1023;
/** Bytes of the longest format name that a header may give for its backing file. */
export const MAX_FORMAT_NAME_LENGTH: number = 255;
/** Most header extensions; real images have at most six. */
export const MAX_HEADER_EXTENSIONS: number = 256;
/** Most snapshots, as in QEMU. */
export const MAX_SNAPSHOTS: number = 65536;
/** Bytes of the extra data of one snapshot, as in QEMU. */
export const MAX_SNAPSHOT_EXTRA_DATA: number = 1024;
/** Bytes of the whole snapshot table: 256 for each of the most snapshots. */
export const MAX_SNAPSHOT_TABLE_SIZE: number = 16 * 2 ** 20;
/** Most persistent bitmaps, as in QEMU. qcow2 specification, "Bitmaps extension". */
export const MAX_BITMAPS: number = 65535;
/** Bytes of the longest bitmap name, as in QEMU. qcow2 specification, "Bitmap directory". */
export const MAX_BITMAP_NAME_LENGTH: number = 1023;
/** Fewest guest bytes of one bit of a bitmap that is written, as in QEMU. */
export const MIN_GRANULARITY: number = 512;
/** Most guest bytes of one bit of a bitmap that is written, as in QEMU. */
export const MAX_GRANULARITY: number = 2 ** 31;
/** Bytes of the extra data of one bitmap; the specification defines none. */
export const MAX_BITMAP_EXTRA_DATA: number = 1024;
/** Bytes of the whole bitmap directory: 256 for each of the most bitmaps. */
export const MAX_BITMAP_DIRECTORY_SIZE: number = 16 * 2 ** 20;
/** Bytes of the largest bitmap table: one bit for every 512 bytes of the largest disk QEMU makes would be larger. */
export const MAX_BITMAP_TABLE_SIZE: number = 64 * 2 ** 20;
/** Bytes of L2 tables that one open image keeps in memory. */
export const L2_CACHE_SIZE: number = 4 * 2 ** 20;
/** Bytes that one read of neighbouring compressed clusters may take, unless a single cluster needs more. */
export const MAX_COMPRESSED_SPAN: number = 2 ** 20;
/** Bytes of reference counters that a check may hold: one for each cluster in use, four where it is used very often. */
export const MAX_CHECK_MEMORY: number = 256 * 2 ** 20;
/** Most single faults that a check names; it counts the others. */
export const MAX_CHECK_FINDINGS: number = 1000;
/** Most L1 entries that `examine` looks at. */
export const MAX_EXAMINED_L1_ENTRIES: number = 2 ** 18;
/** Bytes of L2 tables that one check reads: 128 TiB of disk in 64 KiB clusters. */
export const MAX_CHECKED_TABLE_BYTES: number = 16 * 2 ** 30;
/** Bytes of L1 tables, those of snapshots included, that one check reads: 4 PiB of disk in 64 KiB clusters. */
export const MAX_CHECKED_L1_BYTES: number = 64 * 2 ** 20;
/** Bytes of bitmap tables that one check reads. */
export const MAX_CHECKED_BITMAP_BYTES: number = 256 * 2 ** 20;
/** Most L2 tables that a check tells apart. */
export const MAX_CHECKED_TABLES: number = 2 ** 22;
/** Most refcounts that a check compares in blocks that other entries of the refcount table name too. */
export const MAX_SHARED_REFCOUNTS: number = 2 ** 24;
/** Bytes of refcount blocks that a change keeps in memory. */
export const REFCOUNT_CACHE_SIZE: number = 16 * 2 ** 20;
/** Most runs of freed clusters that a change remembers, to give their space back at its end. */
export const MAX_FREED_RUNS: number = 65536;
/** Most clusters behind the end of the file that refcounts may count; a search for free ones looks at each. */
export const MAX_COUNTED_BEHIND_END: number = 2 ** 24;
/** Most ranges of written guest bytes that are remembered before they become bits of bitmaps. */
export const MAX_RECORDED_RUNS: number = 65536;
