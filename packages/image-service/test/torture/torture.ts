import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { memoryDirectory } from '../world.ts';
import { askOf } from './asking.ts';
import type { Chance } from './chance.ts';
import { chanceOf } from './chance.ts';
import { act } from './client.ts';
import type { Engine, Service } from './engines.ts';
import { endStates, findViolations, isAtRest } from './final-state.ts';
import type { Installation } from './installation.ts';
import { makeInstallation } from './installation.ts';
import { openLogs } from './logs.ts';
import type { Record as Happened } from './record.ts';
import { count, newRecord } from './record.ts';
import type { SampleShelf } from './samples.ts';
import { openShelf } from './samples.ts';
import { PROGRAM } from './server-process.ts';
import type { Staging } from './staging.ts';

/** How to torture a service. */
export interface Torture {
  /** Decides what the clients do and when the kills come; what meets what is still up to the machine. */
  readonly seed: number;
  /** Kills. */
  readonly rounds: number;
  readonly clients: number;
  readonly engine: Engine;
  readonly staging: Staging;
  /** The program of an earlier version: the service is upgraded from it while it is killed. */
  readonly earlier?: string;
  /** The longest time between a start and the kill that follows, in times of a start: on a busy machine all takes longer. */
  readonly longestLife: number;
  readonly log: (line: string) => void;
}

/** What came of it. */
export interface TortureReport {
  readonly kills: number;
  /** How often clients did what, and what was killed how often. */
  readonly counts: Readonly<Record<string, number>>;
  /** How many images ended in each state, and how many tasks. */
  readonly states: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
}

/** The longest time between a start and the kill that follows, on a machine on which starts take no time. */
const LONGEST_LIFE_MS = 1500;
/** How long the last life may take to bring everything to rest. */
const REST_MS = 240_000;

/**
 * Lets clients loose on a service whose processes are killed again and again, then looks at what is left. Everything is
 * removed when nothing is wrong; else it stays, and the log says where.
 */
export async function torture(order: Torture): Promise<TortureReport> {
  const { seed, rounds, engine, staging, earlier, log } = order;
  const chance = chanceOf(seed);
  const dir = await mkdtemp(join(await memoryDirectory(), 'diskmorph-torture-'));
  const shelf = await openShelf(dir, chance);
  const logs = await openLogs(dir);
  const state = await engine.prepare(dir);
  const uploads = chance.percent(50) ? ({ uploads: 'are converted' } as const) : {};
  const other = chance.percent(50) ? { otherStore: 'b' } : {};
  const installation = await makeInstallation(dir, { samplePort: shelf.port, state, staging, ...uploads, ...other });
  const happened = newRecord();
  let done = 0;
  // The upgrade goes on with the kills: all are of the earlier version at first, none is at the end.
  const program = (): string => (earlier !== undefined && chance.number(rounds) >= done ? earlier : PROGRAM);
  const service = engine.service({ configFile: installation.configFile, newLog: logs.newLog, program });
  const play = { ...order, service, shelf, happened };
  await whileClientsAct(play, async () => {
    for (; done < rounds; done++)
      log(`kill ${done + 1}: ${await killOne(play, chance)}; ${happened.stories.size} images`);
    if (earlier !== undefined) await service.replaceAll();
  });
  log('the last life');
  const { violations, states } = await lastLife(play, installation);
  shelf.close();
  await engine.remove();
  await staging.remove();
  if (violations.length === 0) await rm(dir, { recursive: true, force: true });
  else log(`what is left lies in ${dir}, what each process said in ${logs.dir}\n${await logs.about(violations)}`);
  return { kills: rounds, counts: Object.fromEntries(happened.counts), states, violations: [...new Set(violations)] };
}

interface Play extends Pick<Torture, 'seed' | 'clients' | 'longestLife'> {
  readonly service: Service;
  readonly shelf: SampleShelf;
  readonly happened: Happened;
}

async function whileClientsAct(
  { seed, clients, service, shelf, happened }: Play,
  work: () => Promise<void>,
): Promise<void> {
  const ask = askOf(service, happened);
  let busy = true;
  const loops = Array.from({ length: clients }, async (_, index) => {
    const parts = { ask, shelf, happened, chance: chanceOf(seed + index + 1) };
    while (busy) await act(parts);
  });
  // What one of them throws is heard of when all are waited for.
  for (const loop of loops) loop.catch(() => {});
  await work();
  busy = false;
  await Promise.all(loops);
}

/** Lets it live for a while, and kills one part of it. */
async function killOne({ service, happened, longestLife }: Play, chance: Chance): Promise<string> {
  // Now and then it dies while it is still starting.
  if (!chance.percent(15)) await service.door();
  await delay(chance.number(Math.max(LONGEST_LIFE_MS, longestLife * service.startMs())));
  const died = await service.killOne(chance);
  count(happened, `killed ${died.split(/ --port|,/)[0]}`);
  return died;
}

/** Waits until everything has ended, looks at what is left, and ends the service in order. */
async function lastLife(
  { service, happened }: Play,
  installation: Installation,
): Promise<Pick<TortureReport, 'violations' | 'states'>> {
  const ask = askOf(service, happened);
  const deadline = Date.now() + REST_MS;
  while (!(await isAtRest(ask, installation)) && Date.now() < deadline) await delay(500);
  const violations = await findViolations(ask, installation, happened);
  const states = await endStates(ask);
  const codes = await service.stop();
  if (codes.some((code) => code !== 0)) violations.push(`the service did not stop in order: ${codes.join(', ')}`);
  const left = (await installation.unfinished()).filter((path) => path.startsWith('work/'));
  return { states, violations: [...violations, ...service.deaths, ...left.map((path) => `${path} was left`)] };
}
