import type { HashName } from './hash-messages.ts';
import { SLOT_COUNT, SLOT_SIZE } from './hash-messages.ts';
import type { DigestInThread, HashThread } from './hash-thread.ts';

/** Digests of bytes that come one after the other, computed beside the event loop. */
export interface HashStream<Names extends HashName> {
  /** Takes the bytes, which may be used again at once; settles when there is room for more. Throws when a thread failed. */
  write(bytes: Uint8Array): Promise<void>;
  /** The digests in hex, of everything that was written. */
  end(): Promise<{ readonly [Name in Names]: string }>;
  /** Nobody wants the digests. */
  drop(): void;
}

/**
 * Memory for streams. Threads that were shown some hold on to it until they collect garbage, which they hardly ever do: that of
 * a stream that ended serves the next, so that it is never more than for as many streams as there were at the same time.
 */
export interface SlotMemory {
  take(): SharedArrayBuffer;
  /** Nobody cares any more for what is read from it. */
  giveBack(memory: SharedArrayBuffer): void;
}

/** Memory of which there is none at first. */
export function slotMemory(): SlotMemory {
  const spare: SharedArrayBuffer[] = [];
  return {
    take: () => spare.pop() ?? new SharedArrayBuffer(SLOT_SIZE * SLOT_COUNT),
    giveBack: (memory) => void spare.push(memory),
  };
}

/**
 * A stream whose bytes lie in a few slots of shared memory: they are copied once, whatever the number of digests, and
 * a slot is filled again only when every thread has read it. That bounds the memory, and slows the sender down to the
 * slowest digest.
 */
export function hashStream<Names extends HashName>(
  names: readonly Names[],
  threads: readonly HashThread[],
  lender: SlotMemory,
): HashStream<Names> {
  const memory = lender.take();
  let isLent = true;
  const giveBack = (): void => {
    // Twice would lend it to two streams.
    if (isLent) lender.giveBack(memory);
    isLent = false;
  };
  const slots = new Uint8Array(memory);
  /** How many threads have yet to read each slot. */
  const readers: number[] = Array.from({ length: SLOT_COUNT }, () => 0);
  let current = 0;
  let filled = 0;
  let failure: unknown;
  let wake: (() => void) | undefined;
  const fail = (error: unknown): void => {
    failure ??= error;
    wake?.();
  };
  const onSlot = (slot: number): void => {
    readers[slot] = (readers[slot] ?? 0) - 1;
    wake?.();
  };
  const digests = names.map((name, index) => {
    const thread = threads[index % threads.length];
    if (thread === undefined) throw new Error('assertion failed: there is a thread for each digest');
    const digest: DigestInThread = thread.stream(name, memory, { onSlot });
    digest.hex.catch(fail);
    return { name, digest };
  });
  const hand = (): void => {
    readers[current] = digests.length;
    for (const { digest } of digests) digest.update(current, filled);
    current = (current + 1) % SLOT_COUNT;
    filled = 0;
  };
  const room = async (): Promise<void> => {
    while (failure === undefined && readers[current] !== 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      await promise;
    }
    if (failure !== undefined) throw failure;
  };
  return {
    async write(bytes) {
      for (let done = 0; done < bytes.length;) {
        if (filled === 0) await room();
        const part = bytes.subarray(done, done + SLOT_SIZE - filled);
        slots.set(part, current * SLOT_SIZE + filled);
        filled += part.length;
        done += part.length;
        if (filled === SLOT_SIZE) hand();
      }
    },
    async end() {
      if (filled > 0) hand();
      for (const { digest } of digests) digest.finish();
      const entries = digests.map(async ({ name, digest }) => [name, await digest.hex] as const);
      // Also when one of them fails: the others are of no use then.
      const found = await Promise.all(entries).finally(giveBack);
      return Object.fromEntries(found) as { readonly [Name in Names]: string };
    },
    drop() {
      for (const { digest } of digests) digest.drop(new Error('The digest is no longer wanted'));
      giveBack();
    },
  };
}
