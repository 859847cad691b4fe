import type { Finding } from '../../image/finding.ts';
import type { Metadata } from './metadata.ts';

/** A structure that has its place in the file. Bytes. */
interface Area {
  readonly structure: string;
  readonly start: number;
  readonly end: number;
}

/** The tables that the header names, and cluster 0, in the order of their places. */
function tableAreas(metadata: Metadata): Area[] {
  const { header, geometry, extensions } = metadata;
  const areas: Area[] = [];
  const place = (structure: string, start: number, length: number): void => {
    if (length > 0) areas.push({ structure, start, end: start + length });
  };
  place('header', 0, geometry.clusterSize);
  place('L1 table', header.l1TableOffset, header.l1Size * 8);
  place('refcount table', header.refcountTableOffset, header.refcountTableClusters * geometry.clusterSize);
  place('snapshot table', header.snapshotsOffset, header.snapshotCount > 0 ? geometry.clusterSize : 0);
  place('bitmap directory', extensions.bitmaps?.directoryOffset ?? 0, extensions.bitmaps?.directorySize ?? 0);
  return areas.sort((first, second) => first.start - second.start);
}

/** `overlapping-tables` for the first two tables of the header that lie over each other. */
export function overlapFindings(metadata: Metadata): Finding[] {
  const areas = tableAreas(metadata);
  for (const [index, area] of areas.entries()) {
    const next = areas[index + 1];
    if (next === undefined || next.start >= area.end) continue;
    return [overlap(area.structure, next.structure, next.start)];
  }
  return [];
}

/** Says for the place of an L2 table whether it lies over a table of the header: `overlapping-tables`, or undefined. */
export function l2OverlapTest(metadata: Metadata): (hostOffset: number) => Finding | undefined {
  const areas = tableAreas(metadata);
  const { clusterSize } = metadata.geometry;
  return (hostOffset) => {
    const end = hostOffset + clusterSize;
    const area = areas.find((candidate) => candidate.start < end && candidate.end > hostOffset);
    return area === undefined ? undefined : overlap(area.structure, 'L2 table', hostOffset);
  };
}

function overlap(first: string, second: string, offset: number): Finding {
  const message = `The ${first} and the ${second} lie over each other at byte ${offset}`;
  return { code: 'overlapping-tables', severity: 'unsafe', offset, message };
}
