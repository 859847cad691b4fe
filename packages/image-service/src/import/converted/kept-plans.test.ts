import { beforeEach, describe, expect, test } from 'vitest';
import type { SpaceLedger } from '../../staging/space.ts';
import { StagingError } from '../../staging/errors.ts';
import type { DownloadPlan } from './download-plan.ts';
import { keptPlans } from './kept-plans.ts';
import { promiseRoom } from './plan-room.ts';

const MIB = 2 ** 20;
let open: Set<string>;
beforeEach(() => {
  open = new Set();
});

function plan(id: string, sizeBytes: number = MIB): DownloadPlan {
  let users = 0;
  return {
    id,
    tablesFd: -1,
    runsFd: -1,
    planned: undefined,
    use() {
      users++;
      open.add(id);
      return async () => {
        if (--users === 0) open.delete(id);
      };
    },
    sizeBytes: async () => sizeBytes,
  };
}

function log(message: string): void {
  throw new Error(message);
}

describe('plans are kept', () => {
  test('until they take more than a gibibyte together: those that were not used for the longest go', async () => {
    const plans = keptPlans(60_000, log);
    for (const id of ['a', 'b', 'c']) await plans.keep(id, plan(id, 300 * MIB));
    expect(plans.get('a')?.id).toBe('a');
    await plans.keep('d', plan('d', 300 * MIB));
    expect([...open]).toEqual(['a', 'c', 'd']);
    expect(plans.get('b')).toBeUndefined();
    await plans.keep('e', plan('e', 1025 * MIB));
    expect([...open]).toEqual(['a', 'c', 'd']);
    await plans.close();
    expect([...open]).toEqual([]);
  });

  test('until there are 64 of them, and not at all without a lifetime', async () => {
    const plans = keptPlans(60_000, log);
    for (let at = 0; at < 70; at++) await plans.keep(`image-${at} x`, plan(`${at}`));
    expect(open.size).toBe(64);
    await plans.forget('image-69 ');
    expect([open.size, open.has('69')]).toEqual([63, false]);
    await plans.close();
    await keptPlans(0, log).keep('a', plan('a'));
    expect(open.size).toBe(0);
  });
});

/** A disk on which so many bytes are free as soon as no plan is kept any more. */
function disk(freeBytes: number): SpaceLedger {
  return {
    async reserve(_owner, bytes) {
      if (open.size > 0 || bytes > freeBytes) throw new StagingError('insufficient_space', 'no room');
    },
    async release() {},
    async forgetGone() {},
  };
}

describe('room for a plan', () => {
  test('is made by forgetting what was found out before', async () => {
    const plans = keptPlans(60_000, log);
    for (const id of ['a', 'b']) await plans.keep(id, plan(id));
    await promiseRoom({ space: disk(MIB), plans }, plan('c'), MIB);
    expect([...open]).toEqual([]);
    const refused = promiseRoom({ space: disk(MIB), plans }, plan('c'), 2 * MIB);
    await expect(refused).rejects.toMatchObject({ code: 'insufficient_space' });
  });

  test('is not given to a plan of more than two gibibytes', async () => {
    const parts = { space: disk(Number.POSITIVE_INFINITY), plans: keptPlans(0, log) };
    await promiseRoom(parts, plan('a', 2000 * MIB), 16 * MIB);
    const refused = promiseRoom(parts, plan('a', 2040 * MIB), 16 * MIB);
    await expect(refused).rejects.toMatchObject({ code: 'not_convertible' });
  });
});
