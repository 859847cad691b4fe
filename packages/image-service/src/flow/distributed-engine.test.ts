import { expect, test } from 'vitest';
import type { JobRecord } from './job.ts';
import type { Flow, FlowFactory } from './step.ts';
import { linearFlow } from './step.ts';
import { testPostgres } from '../../test/databases.ts';
import { makeJournal, testEngine } from '../../test/test-engine.ts';

function flows(make: () => Flow): ReadonlyMap<string, FlowFactory> {
  return new Map([['test', make]]);
}

function oneStep(
  execute: Parameters<ReturnType<typeof linearFlow>['add']>[0]['execute'],
): ReadonlyMap<string, FlowFactory> {
  return flows(() => ({ steps: linearFlow().add({ name: 'one', execute }).steps }));
}

const NOTHING = oneStep(async () => ({}));

test('what one process submits another one runs; progress, end and cancellation go between them', async () => {
  const journal = await makeJournal('postgres');
  const begun = Promise.withResolvers<void>();
  const api = testEngine(journal, { flows: NOTHING, role: 'only submits' });
  const worker = testEngine(journal, {
    flows: oneStep((_, { signal, report }) => {
      report({ phase: 'wait', doneBytes: 1, totalBytes: 4 });
      begun.resolve();
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    }),
  });
  await Promise.all([api.start(), worker.start()]);
  const heard = Promise.withResolvers<unknown>();
  api.onProgress((jobId, progress) => heard.resolve([jobId, progress.phase, progress.percent]));
  await api.submit({ id: 'j', flow: 'test', input: {} });
  await begun.promise;
  expect(await heard.promise).toEqual(['j', 'wait', 25]);
  await api.cancel('j');
  expect(await api.wait('j')).toMatchObject({ state: 'cancelled', epoch: 1 });
});

test('a process that stops hands its job over, and the step goes on elsewhere without counting the attempt', async () => {
  const journal = await makeJournal('postgres');
  const begun = Promise.withResolvers<void>();
  const first = testEngine(journal, {
    flows: oneStep((_, { signal }) => {
      begun.resolve();
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    }),
  });
  await first.start();
  await first.submit({ id: 'j', flow: 'test', input: {} });
  await begun.promise;
  const second = testEngine(journal, { flows: NOTHING });
  await second.start();
  const ended = second.wait('j');
  await first.stop();
  expect(await ended).toMatchObject({ state: 'succeeded', epoch: 2, steps: [{ attempts: 1 }] });
});

test('a job of one machine is run there, also when it had been offered to all', async () => {
  const journal = await makeJournal('postgres');
  const ran: string[] = [];
  const at = (node: string): ReturnType<typeof testEngine> =>
    testEngine(journal, { node, flows: oneStep(async () => (ran.push(node), {})) });
  const [here, there] = [at('here'), at('there')];
  await here.start();
  await here.submit({ id: 'local', flow: 'test', input: {}, node: 'there' });
  await here.submit({ id: 'moved', flow: 'test', input: {} });
  await journal.bindToNode('moved', 'there');
  await there.start();
  for (const id of ['local', 'moved']) expect(await here.wait(id)).toMatchObject({ state: 'succeeded', node: 'there' });
  expect(ran.filter((node) => node === 'there').length).toBeGreaterThan(0);
});

test('a job that is begun where its data stays there belongs to that machine', async () => {
  const journal = await makeJournal('postgres');
  const engine = testEngine(journal, { flows: NOTHING, bindsToNode: true });
  await engine.start();
  await engine.submit({ id: 'j', flow: 'test', input: {} });
  expect(await engine.wait('j')).toMatchObject({ state: 'succeeded', node: 'here' });
});

test('a flow that this process does not know is left to one that does', async () => {
  const journal = await makeJournal('postgres');
  const faults: unknown[] = [];
  const seen = Promise.withResolvers<void>();
  const older = testEngine(journal, {
    flows: new Map(),
    onFault: (_, error) => {
      faults.push(error);
      seen.resolve();
    },
  });
  await older.start();
  await older.submit({ id: 'j', flow: 'test', input: {} });
  await seen.promise;
  const newer = testEngine(journal, { flows: NOTHING });
  await newer.start();
  expect(await newer.wait('j')).toMatchObject({ state: 'succeeded' });
  expect(faults[0]).toMatchObject({ code: 'unknown_flow' });
});

test('a job that the queue has lost is put there again', async () => {
  const journal = await makeJournal('postgres');
  await journal.submit({ id: 'j', flow: 'test', input: {} });
  const engine = testEngine(journal, { flows: NOTHING, pace: { takeMs: 50, watchMs: 50, sweepMs: 50 } });
  await engine.start();
  expect(await engine.wait('j')).toMatchObject({ state: 'succeeded' });
});

test('a database that goes away fails no job: it goes on when it is back', async () => {
  const journal = await makeJournal('postgres');
  const server = await testPostgres();
  const begun = Promise.withResolvers<void>();
  const back = Promise.withResolvers<void>();
  let executions = 0;
  const engine = testEngine(journal, {
    isOutage: (error) => error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED',
    flows: oneStep(async () => {
      executions += 1;
      begun.resolve();
      await back.promise;
      // What a step sees of an outage.
      if (executions === 1) throw Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
      return {};
    }),
  });
  await engine.start();
  await engine.submit({ id: 'j', flow: 'test', input: {} });
  await begun.promise;
  const ended: Promise<JobRecord> = engine.wait('j');
  await server.halt();
  back.resolve();
  await server.begin();
  expect(await ended).toMatchObject({ state: 'succeeded', failure: null });
  expect(executions).toBe(2);
});
