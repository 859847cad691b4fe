import { SECTOR_SIZE } from './limits.ts';

/** Cylinders, heads and sectors per track. */
export interface Geometry {
  readonly cylinders: number;
  readonly heads: number;
  readonly sectorsPerTrack: number;
}

/** The largest that the footer can hold; a disk that has it may be of any size. */
export const MAX_GEOMETRY: Geometry = { cylinders: 65535, heads: 16, sectorsPerTrack: 255 };

const NO_GEOMETRY: Geometry = { cylinders: 0, heads: 0, sectorsPerTrack: 0 };

/** Sectors of a disk of this geometry. */
export function geometrySectors({ cylinders, heads, sectorsPerTrack }: Geometry): number {
  return cylinders * heads * sectorsPerTrack;
}

const MAX_GEOMETRY_SECTORS: number = geometrySectors(MAX_GEOMETRY);
/** From here on tracks have 255 sectors. */
const LARGE_DISK_SECTORS: number = 65535 * 16 * 63;
const MAX_CYLINDERS_OF_SMALL_DISKS = 1024;

/**
 * The geometry of the largest disk of not more than `sectors` sectors that the rules allow.
 * VHD Image Format Specification 1.0, "Appendix: CHS Calculation".
 */
export function geometryOf(sectors: number): Geometry {
  const counted = Math.min(sectors, MAX_GEOMETRY_SECTORS);
  if (counted >= LARGE_DISK_SECTORS) return withTracks(counted, 16, 255);
  const tracksOf17 = Math.floor(counted / 17);
  const heads = Math.max(4, Math.ceil(tracksOf17 / MAX_CYLINDERS_OF_SMALL_DISKS));
  if (heads <= 16 && tracksOf17 < heads * MAX_CYLINDERS_OF_SMALL_DISKS) return withTracks(counted, heads, 17);
  if (Math.floor(counted / 31) < 16 * MAX_CYLINDERS_OF_SMALL_DISKS) return withTracks(counted, 16, 31);
  return withTracks(counted, 16, 63);
}

function withTracks(sectors: number, heads: number, sectorsPerTrack: number): Geometry {
  return { cylinders: Math.floor(Math.floor(sectors / sectorsPerTrack) / heads), heads, sectorsPerTrack };
}

/** The size that a disk gets which programs may size by its geometry. */
export interface RoundedSize {
  readonly virtualSize: number;
  readonly geometry: Geometry;
}

/**
 * The smallest disk of at least `size` bytes that a geometry describes exactly. Disks above 127 GiB have the largest
 * geometry and keep their size, in whole sectors.
 */
export function roundToGeometry(size: number): RoundedSize {
  const sectors = Math.ceil(size / SECTOR_SIZE);
  if (sectors === 0) return { virtualSize: 0, geometry: NO_GEOMETRY };
  let geometry = geometryOf(sectors);
  for (let more = 1; geometrySectors(geometry) < Math.min(sectors, MAX_GEOMETRY_SECTORS); more++) {
    geometry = geometryOf(sectors + more);
  }
  const isLargest = geometrySectors(geometry) === MAX_GEOMETRY_SECTORS;
  return { virtualSize: (isLargest ? sectors : geometrySectors(geometry)) * SECTOR_SIZE, geometry };
}

/** Programs that size a disk by the footer's current size; the others go by its geometry. */
const CREATORS_OF_EXACT_SIZES: ReadonlySet<string> = new Set(['qem2', 'win ', 'd2v ', 'tap', 'CTXS']);

/** The facts of a footer that tell the size of the disk. */
export interface SizeFields {
  /** The creator application up to its first NUL, trailing spaces kept. */
  readonly creatorCode: string;
  readonly currentSize: number;
  readonly geometry: Geometry;
}

/**
 * Size in bytes of the guest disk: the footer's current size where the program that made it goes by that or the geometry
 * is the largest, else what the geometry says. The same answer as QEMU 7.2 gives for every footer.
 */
export function guestDiskSize({ creatorCode, currentSize, geometry }: SizeFields): number {
  const sectors = geometrySectors(geometry);
  const isExact = sectors === MAX_GEOMETRY_SECTORS || CREATORS_OF_EXACT_SIZES.has(creatorCode);
  return (isExact ? Math.floor(currentSize / SECTOR_SIZE) : sectors) * SECTOR_SIZE;
}
