import { createHash, randomBytes } from 'node:crypto';
import { afterAll, expect, test } from 'vitest';
import { SLOT_SIZE } from './hash-messages.ts';
import type { SlotMemory } from './hash-stream.ts';
import { hashStream, slotMemory } from './hash-stream.ts';
import { startHashThread } from './hash-thread.ts';

const thread = startHashThread();
afterAll(() => thread.close());

/** Counts what is lent at the moment. */
function countedMemory(): SlotMemory & { lent(): number; made(): number } {
  const memory = slotMemory();
  const made = new Set<SharedArrayBuffer>();
  let lent = 0;
  return {
    take() {
      lent += 1;
      const taken = memory.take();
      made.add(taken);
      return taken;
    },
    giveBack(given) {
      lent -= 1;
      memory.giveBack(given);
    },
    lent: () => lent,
    made: () => made.size,
  };
}

test('a stream that ended, or that nobody wants any more, leaves its memory to the next', async () => {
  const memory = countedMemory();
  for (let round = 0; round < 20; round++) {
    const bytes = randomBytes(3 * SLOT_SIZE + round);
    const unwanted = hashStream(['sha512'], [thread], memory);
    await unwanted.write(randomBytes(2 * SLOT_SIZE));
    unwanted.drop();
    const wanted = hashStream(['md5'], [thread], memory);
    await wanted.write(bytes);
    expect((await wanted.end()).md5).toBe(createHash('md5').update(bytes).digest('hex'));
    wanted.drop();
  }
  expect([memory.lent(), memory.made()]).toEqual([0, 1]);
});

test('streams at the same time have memory of their own', async () => {
  const memory = countedMemory();
  const digests = Array.from({ length: 5 }, async (_, index) => {
    const bytes = randomBytes(2 * SLOT_SIZE + index);
    const stream = hashStream(['md5'], [thread], memory);
    await stream.write(bytes);
    return (await stream.end()).md5 === createHash('md5').update(bytes).digest('hex');
  });
  expect(await Promise.all(digests)).toEqual([true, true, true, true, true]);
  expect([memory.lent(), memory.made()]).toEqual([0, 5]);
});
