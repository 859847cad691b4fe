import fc from 'fast-check';
import { expect, test } from 'vitest';
import { memorySource } from '../../bytes/byte-source.ts';
import { batEntries, BLOCK, ENTRY_BYTES, putEntry } from './bat-entry.ts';
import { blockAllocationTable } from './block-allocation-table.ts';
import { bitmapIndex, geometryOf, payloadIndex } from './geometry.ts';
import { guestMap } from './guest-map.ts';
import { MIB } from './limits.ts';

const BLOCK_SIZE = 256 * MIB;
const STATES: Readonly<Record<number, string>> = {
  [BLOCK.notPresent]: 'absent',
  [BLOCK.undefined]: 'zero',
  [BLOCK.zero]: 'zero',
  [BLOCK.unmapped]: 'zero',
  [BLOCK.fullyPresent]: 'data',
};

const blockState = fc.constantFrom(BLOCK.notPresent, BLOCK.undefined, BLOCK.zero, BLOCK.unmapped, BLOCK.fullyPresent);

test('runs tell the state of every block, whatever stands in the entries for bitmaps between them', async () => {
  const scenario = fc.record({
    runs: fc.array(fc.tuple(blockState, fc.integer({ min: 1, max: 20 })), { minLength: 1, maxLength: 8 }),
    bitmapState: blockState,
    hasParent: fc.boolean(),
    start: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(scenario, async ({ runs, bitmapState, hasParent, start }) => {
      const states = runs.flatMap(([state, count]) => Array.from({ length: count }, () => state));
      const diskSize = states.length * BLOCK_SIZE - 512;
      const geometry = geometryOf({ blockSize: BLOCK_SIZE, logicalSectorSize: 512, diskSize, hasParent });
      const bytes = new Uint8Array(geometry.entries * ENTRY_BYTES);
      const view = new DataView(bytes.buffer);
      for (let chunk = 0; bitmapIndex(geometry, chunk) < geometry.entries; chunk++) {
        putEntry(view, bitmapIndex(geometry, chunk), bitmapState, 0);
      }
      for (const [block, state] of states.entries()) {
        putEntry(view, payloadIndex(geometry, block), state, state === BLOCK.fullyPresent ? (block + 1) * MIB : 0);
      }
      const source = memorySource(bytes);
      const region = { guid: '', fileOffset: 0, length: bytes.length, required: true };
      const map = guestMap(source, blockAllocationTable(source, region, geometry));
      for (let offset = start % diskSize; offset < diskSize;) {
        const run = await map.run(offset, diskSize);
        const last = Math.floor((offset + run.length - 1) / BLOCK_SIZE);
        for (let block = Math.floor(offset / BLOCK_SIZE); block <= last; block++) {
          expect(run.state).toBe(STATES[states[block] ?? 0]);
        }
        offset += run.length;
      }
    }),
    { numRuns: 300 },
  );
});

test.each([
  [6, MIB, [6, 0, 0x10, 0, 0, 0, 0, 0]],
  [6, 4096 * MIB, [6, 0, 0, 0, 1, 0, 0, 0]],
  [7, 4095 * MIB, [7, 0, 0xf0, 0xff, 0, 0, 0, 0]],
  [2, 0, [2, 0, 0, 0, 0, 0, 0, 0]],
  [6, 2 ** 46, [6, 0, 0, 0, 0, 0x40, 0, 0]],
])('an entry in state %i at byte %i goes to the file and back', (state, hostOffset, expected) => {
  const bytes = new Uint8Array(16);
  putEntry(new DataView(bytes.buffer), 1, state, hostOffset);
  expect([...bytes.subarray(8)]).toEqual(expected);
  expect(batEntries(bytes).state(1)).toBe(state);
  expect(batEntries(bytes).hostOffset(1)).toBe(hostOffset);
});

test.each([
  { blockSize: MIB, sector: 512, blocks: 10, hasParent: false, ratio: 4096, entries: 10 },
  { blockSize: MIB, sector: 512, blocks: 4096, hasParent: false, ratio: 4096, entries: 4096 },
  { blockSize: MIB, sector: 512, blocks: 4097, hasParent: false, ratio: 4096, entries: 4098 },
  { blockSize: MIB, sector: 512, blocks: 10, hasParent: true, ratio: 4096, entries: 4097 },
  { blockSize: MIB, sector: 512, blocks: 4097, hasParent: true, ratio: 4096, entries: 8194 },
  { blockSize: 256 * MIB, sector: 512, blocks: 17, hasParent: false, ratio: 16, entries: 18 },
  { blockSize: 32 * MIB, sector: 4096, blocks: 1025, hasParent: true, ratio: 1024, entries: 2050 },
])('the table has an entry for each block and bitmap: $blocks of $blockSize bytes', (row) => {
  const { blockSize, sector, blocks, hasParent, ratio, entries } = row;
  const geometry = geometryOf({ blockSize, logicalSectorSize: sector, diskSize: blocks * blockSize, hasParent });
  expect(geometry).toMatchObject({ chunkRatio: ratio, payloadBlocks: blocks, entries });
});
