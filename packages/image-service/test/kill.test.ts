import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { TaskView } from '../src/import/service.ts';
import type { ChildOrder } from './kill-child.ts';
import type { World } from './world.ts';
import { diskBytes, makeWorld, sha512 } from './world.ts';

const worlds: World[] = [];
afterEach(async () => {
  await Promise.all(worlds.splice(0).map((world) => world.remove()));
});

async function freshWorld(source: Buffer): Promise<World> {
  const world = await makeWorld();
  worlds.push(world);
  await writeFile(world.path('disk.raw'), source);
  return world;
}

type Death = 'SIGKILL' | null;

/** Runs the child to its end or death. */
async function runChild(
  world: World,
  order: Pick<ChildOrder, 'work' | 'faults' | 'kill'>,
): Promise<{ readonly death: Death; readonly tasks: readonly TaskView[] }> {
  const whole: ChildOrder = { configFile: world.configFile, file: world.path('disk.raw'), ...order };
  const program = join(import.meta.dirname, 'kill-child.ts');
  const child = spawn(process.execPath, ['--conditions=source', program, JSON.stringify(whole)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.on('data', (data: Buffer) => (printed += data.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, Death];
  if (code !== null && code !== 0) throw new Error(`the child failed with exit code ${code}`);
  return { death: signal, tasks: code === 0 ? (JSON.parse(printed) as readonly TaskView[]) : [] };
}

/** What must hold at the end, whatever happened before. */
async function expectOrder(world: World, tasks: readonly TaskView[], failing: string | undefined): Promise<void> {
  const service = await world.open();
  const files: string[] = [];
  for (const task of tasks) {
    const image = await service.image(task.imageId ?? '');
    const expected = failing === undefined ? ['success', 'active'] : ['failure', 'queued'];
    expect([task.status, image.status]).toEqual(expected);
    for (const { store, location } of image.locations) {
      files.push(`store-${store}/${location}`);
      expect(await sha512(world.storePath(store, location))).toBe(image.osHashValue);
    }
  }
  expect(await world.files()).toEqual(files.sort());
}

describe('statement 17: SIGKILL, then another process', () => {
  const source = diskBytes();
  // Each lies in another step or revert: the steps are tried at every operation in crash.test.ts, without real deaths.
  const kills: readonly { readonly name: string; readonly order: Pick<ChildOrder, 'faults' | 'kill'> }[] = [
    ...[10, 25, 40, 55, 70, 85, 100, 115, 130].map((operation) => ({
      name: `at operation ${operation}`,
      order: { faults: {}, kill: { operation } },
    })),
    ...[60, 75, 90, 105, 120, 135, 150].map((operation) => ({
      name: `at operation ${operation} of an import whose last store fails`,
      order: { faults: { failing: 'store b' } as const, kill: { operation } },
    })),
    ...['stage', 'hash', 'convert', 'verify'].map((phase) => ({
      name: `in the phase ${phase}`,
      order: { faults: {}, kill: { phase, percent: 0 } },
    })),
    ...[1, 2, 3].map((save) => ({ name: `inside transaction ${save}`, order: { faults: {}, kill: { save } } })),
  ];

  test.each(kills)('$name: the job goes on to the same end, nothing is left over', async ({ order }) => {
    const world = await freshWorld(source);
    const first = await runChild(world, { work: 'import', ...order });
    expect(first.death).toBe('SIGKILL');
    const second = await runChild(world, { work: 'resume', faults: order.faults });
    expect(second.death).toBeNull();
    await expectOrder(world, second.tasks, order.faults.failing);
  });

  test('killed and started by the same command again: it takes up the import that was cut off', async () => {
    const world = await freshWorld(source);
    await runChild(world, { work: 'import', faults: {}, kill: { phase: 'convert', percent: 0 } });
    const { tasks } = await runChild(world, { work: 'import', faults: {} });
    expect(tasks).toHaveLength(1);
    await expectOrder(world, tasks, undefined);
  });

  test('killed together with its work directory: it begins anew', async () => {
    const world = await freshWorld(source);
    await runChild(world, { work: 'import', faults: {}, kill: { phase: 'store b', percent: 0 } });
    await rm(world.path('work'), { recursive: true });
    await mkdir(world.path('work'));
    const { tasks } = await runChild(world, { work: 'resume', faults: {} });
    await expectOrder(world, tasks, undefined);
    expect(tasks[0]?.job?.steps.map(({ attempts }) => attempts)).toEqual([2, 2, 2, 2, 2, 2, 1]);
  });

  test('killed in each life, again and again, it still ends', async () => {
    const world = await freshWorld(source);
    let { death, tasks } = await runChild(world, { work: 'import', faults: {}, kill: { operation: 30 } });
    for (let operation = 35; death !== null; operation += 25) {
      ({ death, tasks } = await runChild(world, { work: 'resume', faults: {}, kill: { operation } }));
    }
    expect(tasks).toHaveLength(1);
    await expectOrder(world, tasks, undefined);
  });
});

test('a conversion that is killed goes on from its last checkpoint', async () => {
  const world = await freshWorld(Buffer.alloc(0));
  const block = randomBytes(2 ** 20);
  const file = await open(world.path('disk.raw'), 'w');
  for (let megabyte = 0; megabyte < 640; megabyte++) {
    block.writeUInt32LE(megabyte, 8);
    await file.write(block);
  }
  await file.close();
  const killed = await runChild(world, { work: 'import', faults: {}, kill: { phase: 'convert', percent: 85 } });
  expect(killed.death).toBe('SIGKILL');
  const { tasks } = await runChild(world, { work: 'resume', faults: {} });
  await expectOrder(world, tasks, undefined);
  const converted = tasks[0]?.job?.steps.find((step) => step.name.includes('-Convert-'));
  expect(converted?.output?.['resumed_from']).toBeGreaterThanOrEqual(2 ** 28);
}, 120_000);
