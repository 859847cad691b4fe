import { describe, expect, test } from 'vitest';
import { FINAL_STATES } from './job.ts';
import type { Journal } from './journal.ts';
import type { FlowFactory } from './step.ts';
import { linearFlow } from './step.ts';
import type { Doom } from '../../test/doom.ts';
import type { DatabaseKind } from '../../test/databases.ts';
import { doom, doomed } from '../../test/doom.ts';
import { makeJournal, memoryJournal, testEngine } from '../../test/test-engine.ts';

const STEPS = ['one', 'two', 'three'];

/** What the steps leave outside of the journal; outlives a simulated crash as a disk does. */
interface World {
  readonly things: Set<string>;
  readonly ends: Set<string>;
}

/**
 * Each step makes a thing that bears its epoch, as outputs do, after removing what earlier attempts left. The step
 * `failing` fails after making its thing; the revert `stuck` throws after doing its work.
 */
function worldFlow(world: World, life: Doom, faults: { failing?: string; stuck?: string }): FlowFactory {
  const remove = async (name: string): Promise<void> => {
    await life.gate();
    for (const thing of world.things) if (thing.startsWith(`${name}.`)) world.things.delete(thing);
    await life.gate();
  };
  return () => {
    let flow = linearFlow<{ readonly n: number }>();
    for (const name of STEPS) {
      flow = flow.add({
        name,
        execute: async (_, { epoch }) => {
          await remove(name);
          world.things.add(`${name}.${epoch}`);
          await life.gate();
          if (name === faults.failing) throw new Error(`${name} fails`);
          return { [name]: `${name}.${epoch}` };
        },
        revert: async () => {
          await remove(name);
          if (name === faults.stuck) throw new Error(`${name} is stuck`);
        },
      });
    }
    return {
      steps: flow.steps,
      conclude: async (conclusion) => {
        await life.gate();
        world.ends.add(`${conclusion.kind}: ${conclusion.kind === 'succeeded' ? '' : conclusion.failure.message}`);
        await life.gate();
      },
    };
  };
}

interface Faults {
  readonly failing?: string;
  readonly stuck?: string;
}

/** Lives until it dies at operation `dieAt` or until the job ends; gives the operations it saw. */
async function live(journal: Journal<unknown>, world: World, faults: Faults, dieAt: number): Promise<Doom> {
  const death = Promise.withResolvers<void>();
  const life = doom(dieAt, death.resolve);
  const engine = testEngine(doomed(journal, life), { flows: new Map([['test', worldFlow(world, life, faults)]]) });
  const work = async (): Promise<void> => {
    await engine.start();
    await engine.submit({ id: 'j', flow: 'test', input: { n: 1 } });
    await engine.wait('j');
    await engine.stop();
  };
  await Promise.race([work(), death.promise]);
  if (life.dead()) await life.still();
  return life;
}

interface Scenario {
  readonly kind: DatabaseKind;
  readonly faults: Faults;
  /** Operations between two deaths that are tried. */
  readonly stride: number;
}

const faultsOnSqlite: readonly Faults[] = [
  {},
  ...STEPS.map((failing) => ({ failing })),
  { failing: 'three', stuck: 'one' },
  { failing: 'three', stuck: 'two' },
  { failing: 'three', stuck: 'three' },
];

const scenarios: readonly Scenario[] = [
  ...faultsOnSqlite.map((faults): Scenario => ({ kind: 'sqlite', faults, stride: 1 })),
  // Each death takes a database of its own there: the journal is the same, its transactions are not.
  { kind: 'postgres', faults: {}, stride: 5 },
  { kind: 'postgres', faults: { failing: 'three', stuck: 'one' }, stride: 7 },
];

describe.each(scenarios)('killed at operations on $kind with $faults', ({ kind, faults, stride }) => {
  test('the job ends the same, nothing is done twice, nothing is left over', async () => {
    let survived = false;
    let dieAt = 1;
    for (; !survived; dieAt += stride) {
      const journal = await makeJournal(kind);
      const world = { things: new Set<string>(), ends: new Set<string>() };
      survived = !(await live(journal, world, faults, dieAt)).dead();
      await live(journal, world, faults, Infinity);
      const job = await journal.get('j');
      expect(FINAL_STATES).toContain(job?.state);
      const failing = faults.failing;
      expect([...world.ends]).toEqual([failing === undefined ? 'succeeded: ' : `failed: ${failing} fails`]);
      const made = failing === undefined ? job?.steps.map((step) => Object.values(step.output ?? {})[0]) : [];
      expect([...world.things]).toEqual(made);
      const stuck = job?.steps.flatMap((step) => (step.revertFailure === null ? [] : [step.revertFailure.message]));
      expect(stuck).toEqual(faults.stuck === undefined ? [] : [`${faults.stuck} is stuck`]);
    }
    expect(dieAt).toBeGreaterThan(20);
  });

  test('killed again and again, at the first, second, third ... operation of each life', async () => {
    const journal = await makeJournal(kind);
    const world = { things: new Set<string>(), ends: new Set<string>() };
    let lives = 0;
    for (let dieAt = 8; (await live(journal, world, faults, dieAt)).dead() && lives < 200; dieAt += 2) lives += 1;
    expect(world.ends.size).toBe(1);
    expect(world.things.size).toBe([...world.ends][0] === 'succeeded: ' ? STEPS.length : 0);
  });
});

test('a step that kills its process each time is given up and reverted', async () => {
  const journal = await memoryJournal();
  const world = { things: new Set<string>(), ends: new Set<string>() };
  const deadly = (life: Doom): FlowFactory => {
    const flow = worldFlow(world, life, {});
    return (job) => {
      const { steps, ...rest } = flow(job);
      const killing = { name: 'two', execute: async () => new Promise<never>(() => {}), revert: async () => {} };
      return { ...rest, steps: steps.map((step) => (step.name === 'two' ? killing : step)) };
    };
  };
  for (let lives = 0; lives < 4; lives++) {
    const life = doom(Infinity, () => {});
    const engine = testEngine(journal, { flows: new Map([['test', deadly(life)]]) });
    await engine.start();
    await engine.submit({ id: 'j', flow: 'test', input: { n: 1 } });
    const begun = async (): Promise<number | undefined> => (await journal.get('j'))?.steps[1]?.attempts;
    while ((await begun()) !== Math.min(lives + 1, 3)) await new Promise(setImmediate);
  }
  while (world.ends.size === 0) await new Promise(setImmediate);
  expect([...world.ends]).toEqual(['failed: The step was begun 3 times and the process died in it each time']);
  expect([...world.things]).toEqual([]);
});
