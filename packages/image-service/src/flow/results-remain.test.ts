import { describe, expect, test } from 'vitest';
import type { Doom } from '../../test/doom.ts';
import { doom, doomed } from '../../test/doom.ts';
import { memoryJournal, testEngine } from '../../test/test-engine.ts';
import type { Journal } from './journal.ts';
import type { FlowFactory } from './step.ts';
import { linearFlow } from './step.ts';

/** What machines have on their disks, by the machine's name; outlives simulated crashes. */
type Disks = Readonly<Record<'a' | 'b', Set<string>>>;

interface World {
  readonly disks: Disks;
  /** The steps that were executed, in order, and where. */
  readonly done: string[];
  /** What the point of no return has found. */
  readonly ends: string[];
}

function newWorld(): World {
  return { disks: { a: new Set(), b: new Set() }, done: [], ends: [] };
}

/** Two steps leave things on the disk of their machine, a third needs both, the point of no return needs none. */
function scratchFlow({ disks, done, ends }: World, machine: 'a' | 'b'): FlowFactory {
  const disk = disks[machine];
  const need = (thing: string): void => {
    if (!disk.has(thing)) throw new Error(`there is no ${thing} on ${machine}`);
  };
  const leave = (step: string, epoch: number): Record<string, string> => {
    const thing = `${step}.${epoch}`;
    done.push(`${step} on ${machine}`);
    disk.add(thing);
    return { [step]: thing };
  };
  return () => ({
    steps: linearFlow<{ readonly n: number }>()
      .add({ name: 'one', execute: async (_, { epoch }) => leave('one', epoch) as { one: string } })
      .add({
        name: 'two',
        async execute({ one }, { epoch }) {
          need(one);
          return leave('two', epoch) as { two: string };
        },
      })
      .add({
        name: 'three',
        async execute({ one, two }) {
          need(one);
          need(two);
          done.push(`three on ${machine}`);
          return { three: `${one} ${two}` };
        },
      })
      .add({
        name: 'end',
        pivot: true,
        async execute({ three }) {
          ends.push(three);
          return {};
        },
      }).steps,
    resultsRemain: async ({ one = '', two = '' }) =>
      [one, two].every((thing) => thing === '' || disk.has(String(thing))),
  });
}

interface Life {
  readonly journal: Journal<unknown>;
  readonly world: World;
  readonly machine: 'a' | 'b';
  readonly dieAt: number;
}

async function live({ journal, world, machine, dieAt }: Life): Promise<Doom> {
  const death = Promise.withResolvers<void>();
  const life = doom(dieAt, death.resolve);
  const engine = testEngine(doomed(journal, life), { flows: new Map([['test', scratchFlow(world, machine)]]) });
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

describe('a job whose process dies at any operation', () => {
  test.each(['a', 'b'] as const)('succeeds on machine %s, after deaths on a', async (machine) => {
    let survived = false;
    for (let dieAt = 1; !survived; dieAt++) {
      const journal = await memoryJournal();
      const world = newWorld();
      survived = (await live({ journal, world, machine: 'a', dieAt })).dead() === false;
      await live({ journal, world, machine, dieAt: Infinity });
      expect([dieAt, (await journal.get('j'))?.state]).toEqual([dieAt, 'succeeded']);
      expect(new Set(world.ends).size).toBe(1);
      const [one, two] = (world.ends[0] ?? '').split(' ');
      // Both lie on one machine: nothing is made of what two machines have left.
      expect(Object.values(world.disks).some((disk) => disk.has(one ?? '') && disk.has(two ?? ''))).toBe(true);
    }
  });
});

type Past = Pick<Life, 'journal' | 'world'>;

/** Lives on the machine until the step is finished, then dies at once; gives what comes after. */
async function afterDeathIn(step: string, machine: 'a' | 'b' = 'a', before?: () => Promise<Past>): Promise<Past> {
  for (let dieAt = 1; ; dieAt++) {
    const past = (await before?.()) ?? { journal: await memoryJournal(), world: newWorld() };
    past.world.done.length = 0;
    await live({ ...past, machine, dieAt });
    const record = (await past.journal.get('j'))?.steps.find(({ name }) => name === step);
    if (record?.state !== 'finished' || !past.world.done.includes(`${step} on ${machine}`)) continue;
    past.world.done.length = 0;
    return past;
  }
}

test('goes on where it was on the machine that has what it left', async () => {
  const life = await afterDeathIn('two');
  await live({ ...life, machine: 'a', dieAt: Infinity });
  expect(life.world.done).toEqual(['three on a']);
});

test('begins anew on another machine, and goes on there where it was', async () => {
  const past = await afterDeathIn('one', 'b', () => afterDeathIn('two'));
  await live({ ...past, machine: 'b', dieAt: Infinity });
  expect(past.world.done).toEqual(['two on b', 'three on b']);
});

test('goes on elsewhere when only the point of no return is left: it needs nothing that lies on a machine', async () => {
  const life = await afterDeathIn('three');
  await live({ ...life, machine: 'b', dieAt: Infinity });
  expect(life.world.done).toEqual([]);
  expect(life.world.ends).toEqual(['one.1 two.1']);
});
