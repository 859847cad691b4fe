import { describe, expect, test } from 'vitest';
import { pattern, toVhdx } from '../../../test/vhdx-driver.ts';
import { memorySource } from '../../bytes/byte-source.ts';
import { guidText } from '../../bytes/guid.ts';
import type { GivenOptions } from '../../image/format.ts';
import type { TargetLayout } from '../../image/target.ts';
import { readAnatomy } from './anatomy.ts';
import { MAX_DISK_SIZE, MIB } from './limits.ts';
import { BAT_REGION, METADATA_REGION } from './region-table.ts';
import { newDisk } from './target-layout.ts';
import { vhdxWriter } from './writer.ts';

function layoutOf(virtualSize: number, options: GivenOptions = {}): TargetLayout {
  return vhdxWriter.layout({ virtualSize, options, fileName: 'a.vhdx', seed: new Uint8Array(16) });
}

test.each([
  { subformat: 'differencing' },
  { block_size: '3M' },
  { block_size: '512k' },
  { block_size: '512M' },
  { block_size: 'large' },
  { log_size: '512k' },
  { log_size: '1536k' },
  { log_size: '4G' },
  { logical_sector_size: '1024' },
  { block_state_zero: 'maybe' },
  { cluster_size: '64k' },
] as readonly GivenOptions[])('option %j is refused', (options) => {
  expect(() => layoutOf(MIB, options)).toThrowError(expect.objectContaining({ code: 'out_of_bounds' }));
});

test.each([0, MAX_DISK_SIZE + 1, 2 ** 52])('a disk of %i bytes is refused', (size) => {
  expect(() => layoutOf(size)).toThrowError(expect.objectContaining({ code: 'out_of_bounds' }));
});

test('the largest disk has its place', () => {
  const { geometry, places } = newDisk(layoutOf(MAX_DISK_SIZE, { block_size: '1M' }));
  expect(geometry.payloadBlocks).toBe(2 ** 26);
  expect(places.batLength).toBe(513 * MIB);
});

test('a disk is rounded up to whole logical sectors', () => {
  expect(layoutOf(1001).virtualSize).toBe(1024);
  expect(layoutOf(1001, { logical_sector_size: '4096' }).virtualSize).toBe(4096);
});

test.each([
  [{}, 0, 4, 12],
  [{}, 3, 12, 12],
  [{ block_size: '1M' }, 3, 7, 9],
  [{ block_size: '1M', log_size: '3M' }, 100, 11, 11],
  [{ block_size: '1M', subformat: 'fixed' }, 0, 9, 9],
] as const)('measure %j with %i units of data', (options, dataUnits, required, fullyAllocated) => {
  const measured = vhdxWriter.measure(layoutOf(5 * MIB, options), dataUnits);
  expect(measured).toEqual({ required: required * MIB, fullyAllocated: fullyAllocated * MIB });
});

describe('a written file', () => {
  test('is what the specification asks of a clean one', async () => {
    const bytes = await toVhdx(pattern(3 * MIB, 1), { subformat: 'fixed', block_size: '1M', log_size: '2M' });
    const { headers, regions, metadata, replayedEntries, findings } = await readAnatomy(memorySource(bytes));
    expect(findings).toEqual([]);
    expect(headers).toMatchObject({ creator: 'diskmorph', usable: 2 });
    const { current } = headers;
    expect(current).toMatchObject({ sequenceNumber: 2n, hasLog: false, logVersion: 0, version: 1, logLength: 2 * MIB });
    expect(regions.map(({ guid, required }) => [guid, required])).toEqual([
      [BAT_REGION, true],
      [METADATA_REGION, true],
    ]);
    for (const { fileOffset, length } of regions) expect([fileOffset % MIB, length % MIB]).toEqual([0, 0]);
    expect(metadata).toMatchObject({ leaveBlocksAllocated: true, hasParent: false, parentLocator: undefined });
    expect(metadata).toMatchObject({ logicalSectorSize: 512, physicalSectorSize: 4096, unknownRequiredItems: [] });
    expect(bytes.length).toBe(5 * MIB + 3 * MIB);
    expect(replayedEntries).toBe(0);
  });

  test('has identifiers that differ from each other and with the content', async () => {
    const identifiers = new Set<string>();
    for (const seed of [1, 2]) {
      const bytes = await toVhdx(pattern(MIB, seed), {});
      const { metadata, headers } = await readAnatomy(memorySource(bytes));
      identifiers.add(metadata.diskId);
      identifiers.add(headers.current.dataWriteGuid);
      identifiers.add(guidText(bytes.subarray(65536 + 16, 65536 + 32)));
    }
    expect(identifiers.size).toBe(6);
    for (const identifier of identifiers) expect(identifier).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab]/);
  });
});
