import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { JobRecord } from './job.ts';
import type { Journal } from './journal.ts';
import type { JsonObject } from './json.ts';
import { acquireEngineLock } from './lock.ts';
import type { Conclusion, Flow, FlowFactory, StepContext, StepOutcome } from './step.ts';
import { linearFlow } from './step.ts';
import { DATABASE_KINDS } from '../../test/databases.ts';
import { describeError, makeJournal, memoryJournal, testEngine } from '../../test/test-engine.ts';

class PassingError extends Error {
  readonly code = 'passing';
}

type Input = { readonly n: number };

/** Gives the flow under its name, for jobs of this test. */
function flows(make: () => Flow): ReadonlyMap<string, FlowFactory> {
  return new Map([['test', make]]);
}

/** A step that reports, then waits for its signal. */
function waitingStep(begun: () => void): (input: JsonObject, context: StepContext) => Promise<JsonObject> {
  return (_, { signal, report }) => {
    report({ phase: 'wait', doneBytes: 1, totalBytes: 4 });
    begun();
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
      if (signal.aborted) reject(signal.reason);
    });
  };
}

/** Steps that each wait for a second one beside them, as long as more are to come; tells how many ran at most. */
function pairedSteps(total: number): { readonly make: () => Flow; most(): number } {
  let started = 0;
  let running = 0;
  let most = 0;
  let another = Promise.withResolvers<void>();
  const execute = async (): Promise<JsonObject> => {
    started += 1;
    most = Math.max(most, ++running);
    another.resolve();
    another = Promise.withResolvers<void>();
    if (running < 2 && started < total) await another.promise;
    running -= 1;
    return {};
  };
  return { make: () => ({ steps: linearFlow<Input>().add({ name: 'one', execute }).steps }), most: () => most };
}

describe.each(DATABASE_KINDS)('the engine on %s', (kind) => {
  async function runToEnd(make: () => Flow, journal?: Journal<unknown>): Promise<JobRecord> {
    const engine = testEngine(journal ?? (await makeJournal(kind)), { flows: flows(make) });
    await engine.start();
    await engine.submit({ id: 'j', flow: 'test', input: { n: 1 } });
    const job = await engine.wait('j');
    await engine.stop();
    return job;
  }

  test('each step gets the input and all outputs before it; the conclusion gets everything', async () => {
    const seen: JsonObject[] = [];
    let concluded: Conclusion | undefined;
    const job = await runToEnd(() => ({
      steps: linearFlow<Input>()
        .add({ name: 'one', execute: async (input) => (seen.push(input), { a: input.n + 1 }) })
        .add({ name: 'two', execute: async (input) => (seen.push(input), { b: input.a + 1 }) }).steps,
      conclude: async (conclusion) => void (concluded = conclusion),
    }));
    expect(job).toMatchObject({ state: 'succeeded', steps: [{ state: 'finished' }, { state: 'finished' }] });
    expect(seen).toEqual([{ n: 1 }, { n: 1, a: 2 }]);
    expect(concluded).toEqual({ kind: 'succeeded', state: { n: 1, a: 2, b: 3 }, warnings: [] });
  });

  describe('a failing step', () => {
    const outcomes: Record<string, StepOutcome<JsonObject>> = {};
    const revert =
      (name: string, fault?: string) =>
      async (_: JsonObject, outcome: StepOutcome<JsonObject>): Promise<void> => {
        outcomes[name] = outcome;
        if (fault !== undefined) throw new Error(fault);
      };

    test('turns the flow: every begun step is reverted, last first, whatever their reverts throw', async () => {
      let concluded: Conclusion | undefined;
      const job = await runToEnd(() => ({
        steps: linearFlow<Input>()
          .add({ name: 'one', execute: async () => ({ a: 1 }), revert: revert('one') })
          .add({ name: 'two', execute: async () => ({ b: 2 }), revert: revert('two', 'stuck') })
          .add({ name: 'bare', execute: async () => ({}) })
          .add({ name: 'bad', execute: async () => Promise.reject(new Error('no')), revert: revert('bad', 'again') })
          .add({ name: 'never', execute: async () => ({}), revert: revert('never') }).steps,
        conclude: async (conclusion) => void (concluded = conclusion),
      }));
      expect(Object.keys(outcomes)).toEqual(['bad', 'two', 'one']);
      expect(outcomes).toMatchObject({
        bad: { kind: 'failed', failure: { message: 'no' } },
        two: { kind: 'finished', output: { b: 2 } },
        one: { kind: 'finished', output: { a: 1 } },
      });
      expect(job).toMatchObject({ state: 'failed', failure: { code: 'internal', message: 'no', step: 'bad' } });
      expect(job.steps.map((step) => step.state)).toEqual(['reverted', 'revert_failed', 'reverted', 'revert_failed']);
      expect(concluded).toMatchObject({
        kind: 'failed',
        failure: { message: 'no' },
        revertFailures: [
          { message: 'stuck', step: 'two' },
          { message: 'again', step: 'bad' },
        ],
      });
    });
  });

  describe('retries', () => {
    test.each([
      {
        name: 'a passing failure is tried again',
        error: new PassingError('busy'),
        failures: 2,
        begun: 3,
        state: 'succeeded',
      },
      { name: 'but not for ever', error: new PassingError('busy'), failures: 9, begun: 3, state: 'failed' },
      { name: 'another failure is not', error: new Error('no'), failures: 1, begun: 1, state: 'failed' },
    ])('$name', async ({ error, failures, begun, state }) => {
      let left = failures;
      const execute = async (): Promise<JsonObject> => {
        left -= 1;
        return left < 0 ? {} : Promise.reject(error);
      };
      const job = await runToEnd(() => ({ steps: linearFlow<Input>().add({ name: 'one', execute }).steps }));
      expect(job).toMatchObject({ state, steps: [{ attempts: begun }] });
    });
  });

  describe('cancel', () => {
    test('stops the running step and reverts', async () => {
      const begun = Promise.withResolvers<void>();
      const reverted: string[] = [];
      const engine = testEngine(await makeJournal(kind), {
        flows: flows(() => ({
          steps: linearFlow<Input>()
            .add({ name: 'one', execute: async () => ({}), revert: async () => void reverted.push('one') })
            .add({ name: 'two', execute: waitingStep(begun.resolve), revert: async () => void reverted.push('two') })
            .steps,
        })),
      });
      await engine.start();
      await engine.submit({ id: 'j', flow: 'test', input: { n: 1 } });
      await begun.promise;
      await engine.cancel('j');
      expect(await engine.wait('j')).toMatchObject({ state: 'cancelled', failure: { code: 'cancelled', step: 'two' } });
      expect(reverted).toEqual(['two', 'one']);
      await engine.stop();
    });

    test('asked for elsewhere is noticed with the next progress', async () => {
      const journal = await makeJournal(kind);
      const begun = Promise.withResolvers<void>();
      const engine = testEngine(journal, {
        flows: flows(() => ({
          steps: linearFlow<Input>().add({
            name: 'one',
            execute: async (input, context) => {
              begun.resolve();
              for (let done = 2; !context.signal.aborted; done++) {
                context.report({ phase: 'wait', doneBytes: done });
                await new Promise(setImmediate);
              }
              return waitingStep(begun.resolve)(input, context);
            },
          }).steps,
        })),
      });
      await engine.start();
      await engine.submit({ id: 'j', flow: 'test', input: { n: 1 } });
      await begun.promise;
      await journal.requestCancel('j');
      expect(await engine.wait('j')).toMatchObject({ state: 'cancelled' });
      await engine.stop();
    });

    test('comes too late for a point of no return that has begun', async () => {
      const journal = await makeJournal(kind);
      const engine = testEngine(journal, {
        flows: flows(() => ({
          steps: linearFlow<Input>().add({
            name: 'last',
            pivot: true,
            execute: async (_, { jobId, signal }) => {
              await engine.cancel(jobId);
              return { aborted: signal.aborted };
            },
          }).steps,
        })),
      });
      await engine.start();
      await engine.submit({ id: 'j', flow: 'test', input: { n: 1 } });
      expect(await engine.wait('j')).toMatchObject({ state: 'succeeded', steps: [{ output: { aborted: false } }] });
      await engine.stop();
    });
  });

  test('stop pauses the job without counting the attempt; the next start goes on at the step', async () => {
    const journal = await makeJournal(kind);
    const begun = Promise.withResolvers<void>();
    let executions = 0;
    let blocked = true;
    const make = flows(() => ({
      steps: linearFlow<Input>()
        .add({ name: 'one', execute: async () => ({ executions: ++executions }) })
        .add({
          name: 'two',
          execute: async (input, context) => (blocked ? waitingStep(begun.resolve)(input, context) : {}),
        }).steps,
    }));
    const first = testEngine(journal, { flows: make });
    await first.start();
    await first.submit({ id: 'j', flow: 'test', input: { n: 1 } });
    const waiting = begun.promise.then(() => first.wait('j'));
    await begun.promise;
    await first.stop();
    expect(await waiting).toMatchObject({ state: 'running', steps: [{}, { attempts: 0 }] });
    expect((await journal.get('j'))?.progress).toMatchObject({ step: 'two', phase: 'wait', percent: 25 });
    blocked = false;
    const second = testEngine(journal, { flows: make });
    await second.start();
    expect(await second.wait('j')).toMatchObject({
      state: 'succeeded',
      epoch: 2,
      steps: [{ attempts: 1 }, { attempts: 1 }],
    });
    expect(executions).toBe(1);
    await second.stop();
  });

  test('a step in which nothing moves is stopped and the job fails as stalled', async () => {
    const engine = testEngine(await makeJournal(kind), {
      flows: flows(() => ({ steps: linearFlow<Input>().add({ name: 'one', execute: waitingStep(() => {}) }).steps })),
      limits: { maxAttempts: 3, maxRetries: 2, retryDelayMs: () => 0, noProgressMs: 5, progressIntervalMs: 0 },
    });
    await engine.start();
    await engine.submit({ id: 'j', flow: 'test', input: { n: 1 } });
    const keepAlive = setTimeout(() => {}, 60_000);
    expect(await engine.wait('j')).toMatchObject({ state: 'failed', failure: { code: 'stalled', step: 'one' } });
    clearTimeout(keepAlive);
    await engine.stop();
  });

  test('an older holder of a job is refused every write', async () => {
    const journal = await makeJournal(kind);
    await journal.submit({ id: 'j', flow: 'test', input: {} });
    const older = await journal.claim('j');
    const newer = await journal.claim('j');
    expect([older?.epoch, newer?.epoch]).toEqual([1, 2]);
    const claim = { jobId: 'j', epoch: 1, position: 0 };
    const progress = {
      step: 's',
      phase: 'p',
      doneBytes: 0,
      totalBytes: null,
      percent: null,
      bytesPerSecond: null,
      etaSeconds: null,
      at: 0,
    };
    const writes = [
      () => journal.setState(claim, 'running'),
      () => journal.beginStep(claim, 's'),
      () => journal.finishStep(claim, {}, []),
      () => journal.pauseStep(claim),
      () => journal.fail(claim, { code: 'x', message: 'x' }, { warnings: [] }),
      () => journal.beginRevert(claim),
      () => journal.finishRevert(claim, undefined),
      () => journal.saveProgress(claim, progress),
    ];
    for (const write of writes) await expect(write()).rejects.toMatchObject({ code: 'fenced' });
    expect(await journal.get('j')).toMatchObject({ state: 'queued', epoch: 2, steps: [], progress: null });
  });

  test('submitting the same id again changes nothing', async () => {
    const journal = await makeJournal(kind);
    await journal.submit({ id: 'j', flow: 'test', input: { n: 1 } });
    await journal.submit({ id: 'j', flow: 'other', input: { n: 2 } });
    expect(await journal.get('j')).toMatchObject({ flow: 'test', input: { n: 1 } });
  });

  test('no more jobs run at a time than allowed, and all run in the end', async () => {
    const steps = pairedSteps(6);
    const engine = testEngine(await makeJournal(kind), { flows: flows(steps.make) });
    await engine.start();
    const ids = Array.from({ length: 6 }, (_, index) => `j${index}`);
    for (const id of ids) await engine.submit({ id, flow: 'test', input: { n: 1 } });
    for (const id of ids) expect(await engine.wait(id)).toMatchObject({ state: 'succeeded' });
    expect(steps.most()).toBe(2);
    await engine.stop();
  });

  test('no more jobs of one group run at a time than allowed, and others are not held up by them', async () => {
    const order: string[] = [];
    const held = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const engine = testEngine(await makeJournal(kind), {
      maxJobs: 3,
      maxJobsPerGroup: 1,
      flows: flows(() => ({
        steps: linearFlow<Input>().add({
          name: 'one',
          execute: async ({ n }, { jobId }) => {
            order.push(jobId);
            if (n === 1) begun.resolve();
            if (n === 1) await held.promise;
            return {};
          },
        }).steps,
      })),
    });
    await engine.start();
    await engine.submit({ id: 'a1', flow: 'test', input: { n: 1 }, group: 'a' });
    await begun.promise;
    await engine.submit({ id: 'a2', flow: 'test', input: { n: 2 }, group: 'a' });
    await engine.submit({ id: 'b1', flow: 'test', input: { n: 2 }, group: 'b' });
    await engine.submit({ id: 'c1', flow: 'test', input: { n: 2 } });
    for (const id of ['b1', 'c1']) expect(await engine.wait(id)).toMatchObject({ state: 'succeeded' });
    held.resolve();
    expect(await engine.wait('a2')).toMatchObject({ state: 'succeeded', group: 'a' });
    expect([order[0], order.at(-1)]).toEqual(['a1', 'a2']);
    await engine.stop();
  });

  test('asked to finish, it takes no more and returns when what ran has ended', async () => {
    const journal = await makeJournal(kind);
    const begun = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const make = flows(() => ({
      steps: linearFlow<Input>().add({
        name: 'one',
        execute: async () => {
          begun.resolve();
          await held.promise;
          return {};
        },
      }).steps,
    }));
    const engine = testEngine(journal, { flows: make, maxJobs: 1 });
    await engine.start();
    await engine.submit({ id: 'j', flow: 'test', input: { n: 1 } });
    await engine.submit({ id: 'k', flow: 'test', input: { n: 1 } });
    await begun.promise;
    const finished = engine.finish();
    held.resolve();
    await finished;
    await engine.stop();
    const states = await Promise.all(['j', 'k'].map(async (id) => (await journal.get(id))?.state));
    expect(states).toEqual(['succeeded', 'queued']);
  });

  test('warnings are kept once each, also over retries', async () => {
    let tries = 0;
    const job = await runToEnd(() => ({
      steps: linearFlow<Input>().add({
        name: 'one',
        execute: async (_, { warn }) => {
          warn('careful');
          return ++tries < 2 ? Promise.reject(new PassingError('busy')) : {};
        },
      }).steps,
    }));
    expect(job.warnings).toEqual(['careful']);
  });

  test('finished jobs can be forgotten, unfinished ones cannot', async () => {
    const journal = await makeJournal(kind);
    await runToEnd(
      () => ({ steps: linearFlow<Input>().add({ name: 'one', execute: async () => ({}) }).steps }),
      journal,
    );
    await journal.submit({ id: 'k', flow: 'test', input: {} });
    await journal.forget(['j', 'k', 'unknown']);
    expect([await journal.get('j'), (await journal.get('k'))?.state]).toEqual([undefined, 'queued']);
  });
});

test('a job that was taken over stops without touching anything', async () => {
  const journal = await memoryJournal();
  const faults: unknown[] = [];
  const engine = testEngine(journal, {
    flows: flows(() => ({
      steps: linearFlow<Input>().add({ name: 'one', execute: async () => (await journal.claim('j'), {}) }).steps,
    })),
    onFault: (_, error) => void faults.push(error),
  });
  await engine.start();
  await engine.submit({ id: 'j', flow: 'test', input: {} });
  await expect(engine.wait('j')).rejects.toMatchObject({ code: 'fenced' });
  expect(faults).toMatchObject([{ code: 'fenced' }]);
  expect(await journal.get('j')).toMatchObject({ state: 'running', epoch: 2, steps: [{ state: 'running' }] });
  await engine.stop();
});

test('a conclusion that fails for good leaves the job to the next start', async () => {
  const journal = await memoryJournal();
  let broken = true;
  const make = flows(() => ({
    steps: linearFlow<Input>().add({ name: 'one', execute: async () => ({}) }).steps,
    conclude: async () => (broken ? Promise.reject(new Error('no database')) : undefined),
  }));
  const first = testEngine(journal, { flows: make });
  await first.start();
  await first.submit({ id: 'j', flow: 'test', input: {} });
  await expect(first.wait('j')).rejects.toThrow('no database');
  await first.stop();
  broken = false;
  const second = testEngine(journal, { flows: make });
  await second.start();
  expect(await second.wait('j')).toMatchObject({ state: 'succeeded' });
  await second.stop();
});

test('the residue is looked at under the lock, before any job, with the ids of the unfinished', async () => {
  const journal = await memoryJournal();
  await journal.submit({ id: 'j', flow: 'test', input: {} });
  const events: string[] = [];
  const engine = testEngine(journal, {
    flows: flows(() => ({
      steps: linearFlow<Input>().add({ name: 'one', execute: async () => (events.push('step'), {}) }).steps,
    })),
    acquireLock: () => (events.push('lock'), { release: () => void events.push('unlock') }),
    beforeResume: async (ids) => void events.push(`residue ${ids.join()}`),
  });
  await engine.start();
  await engine.wait('j');
  await engine.stop();
  expect(events).toEqual(['lock', 'residue j', 'step', 'unlock']);
});

test('the lock is held once, and free again after its release', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'diskmorph-lock-'));
  const path = join(dir, 'lock');
  const first = acquireEngineLock(path);
  expect(() => acquireEngineLock(path)).toThrow(`Another process (process ${process.pid}) is at work on this state`);
  first.release();
  acquireEngineLock(path).release();
  await rm(dir, { recursive: true });
});

test('what is thrown without a code is kept as internal', () => {
  expect(describeError('text')).toEqual({ code: 'internal', message: 'text' });
});
