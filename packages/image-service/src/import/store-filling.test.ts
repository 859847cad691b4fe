import { describe, expect, test } from 'vitest';
import { FlowError } from '../flow/failure.ts';
import type { StepContext } from '../flow/step.ts';
import { StoreError } from '../store/store.ts';
import type { ImportParts } from './stage-context.ts';
import type { FillingInput } from './store-filling.ts';
import { fillStep } from './store-filling.ts';

const outage = new Error('the database is away');
const lost = new FlowError('fenced', 'somebody else has it');
const broken = new StoreError('io', 'it is broken');
const silent = new StoreError('unavailable', 'it does not answer');
const parts = { isOutage: (error: unknown) => error === outage } as unknown as ImportParts;

const INPUT: FillingInput = {
  image_id: 'i',
  stores: ['a', 'b', 'c'],
  all_stores_must_succeed: false,
  filled_stores: [{ store: 'a', location: 'there' }],
  failed_stores: [],
};

interface Case {
  readonly error?: Error;
  readonly input?: Partial<FillingInput>;
  readonly attempt?: number;
  readonly aborted?: boolean;
}

/** What the step of store b gives or throws, and what was done for it. */
async function filled({ error, input = {}, attempt = 1, aborted = false }: Case): Promise<readonly unknown[]> {
  const done: string[] = [];
  const step = fillStep(parts, { taskId: 't', taskType: 'import' } as never, {
    storeId: 'b',
    fill: async () => {
      if (error !== undefined) throw error;
      return 'here';
    },
    empty: async () => void done.push('emptied'),
    noteFailed: async () => void done.push('noted'),
  });
  const warn = (): void => void done.push('warned');
  const context = { attempt, signal: aborted ? AbortSignal.abort() : new AbortController().signal, warn };
  const result = await step
    .execute({ ...INPUT, ...input }, context as unknown as StepContext)
    .catch((thrown: unknown) => thrown);
  return [result, ...done];
}

describe('one store of several', () => {
  test('is among the filled ones when it was filled', async () => {
    const [result, ...done] = await filled({});
    expect(result).toMatchObject({ filled_stores: [...INPUT.filled_stores, { store: 'b', location: 'here' }] });
    expect(done).toEqual([]);
  });

  const failures: readonly (Case & { readonly name: string })[] = [
    { name: 'that fails', error: broken },
    { name: 'that does not answer, tried often enough', error: silent, attempt: 3 },
    { name: 'that fails first, with others to come', error: broken, input: { filled_stores: [] } },
  ];
  test.each(failures)('$name is emptied and recorded, and the work goes on', async (failing) => {
    const [result, ...done] = await filled(failing);
    const { code, message } = failing.error as StoreError;
    expect(result).toMatchObject({ failed_stores: ['b'], store_failures: [{ store: 'b', code, message }] });
    expect(done).toEqual(['warned', 'emptied', 'noted']);
  });

  const thrown: readonly (Case & { readonly name: string; readonly error: Error })[] = [
    { name: 'must succeed', error: broken, input: { all_stores_must_succeed: true } },
    { name: 'is the last hope', error: broken, input: { filled_stores: [], stores: ['a', 'b'] } },
    { name: 'may answer later', error: silent },
    { name: 'was given up because the work is stopped', error: broken, aborted: true },
    { name: 'has nothing to do with an outage of the database', error: outage },
    { name: 'has nothing to do with the loss of the job', error: lost },
  ];
  test.each(thrown)('$name: the error is thrown, and nothing is done', async (failing) => {
    expect(await filled(failing)).toEqual([failing.error]);
  });
});
