import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { memoryDirectory } from '../world.ts';
import { chanceOf } from './chance.ts';
import type { Answer, Ask } from './client.ts';
import { act } from './client.ts';
import type { Engine, Service } from './engines.ts';
import { findViolations, isAtRest } from './final-state.ts';
import { makeInstallation } from './installation.ts';
import { openLogs } from './logs.ts';
import { newRecord } from './record.ts';
import { openShelf } from './samples.ts';

/** How to torture a service. */
export interface Torture {
  /** Decides what the clients do and when the kills come; what meets what is still up to the machine. */
  readonly seed: number;
  /** Kills. */
  readonly rounds: number;
  readonly clients: number;
  readonly engine: Engine;
  readonly log: (line: string) => void;
}

/** What came of it. */
export interface TortureReport {
  readonly kills: number;
  /** How often clients did what. */
  readonly counts: Readonly<Record<string, number>>;
  /** How many images ended in each state. */
  readonly states: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
}

/** The longest time between a start and the kill that follows. */
const LONGEST_LIFE_MS = 1500;
/** How long the last life may take to bring everything to rest. */
const REST_MS = 180_000;
/** Longest wait for an answer; a service that is killed answers by closing the connection. */
const ANSWER_MS = 60_000;

/**
 * Lets clients loose on a service whose processes are killed again and again, then looks at what is left. Everything is
 * removed when nothing is wrong; else it stays, and the log says where.
 */
export async function torture({ seed, rounds, clients, engine, log }: Torture): Promise<TortureReport> {
  const chance = chanceOf(seed);
  const dir = await mkdtemp(join(await memoryDirectory(), 'diskmorph-torture-'));
  const shelf = await openShelf(dir, chance);
  const happened = newRecord();
  const state = await engine.prepare(dir);
  const logs = await openLogs(dir);
  const installation = await makeInstallation(dir, { samplePort: shelf.port, state });
  const service = engine.service({ configFile: installation.configFile, newLog: logs.newLog });
  const ask = askOf(service);
  let busy = true;
  const loops = Array.from({ length: clients }, async (_, index) => {
    const parts = { ask, shelf, happened, chance: chanceOf(seed + index + 1) };
    while (busy) await act(parts);
  });
  // What one of them throws is heard of when all are waited for.
  for (const loop of loops) loop.catch(() => {});
  for (let kill = 1; kill <= rounds; kill++) {
    // Now and then it dies while it is still starting.
    if (!chance.percent(15)) await service.url();
    await delay(chance.number(LONGEST_LIFE_MS));
    const died = await service.killOne(chance);
    log(`kill ${kill}: ${died}; ${happened.stories.size} images`);
  }
  busy = false;
  log('the last life');
  await Promise.all(loops);
  const deadline = Date.now() + REST_MS;
  while (!(await isAtRest(ask)) && Date.now() < deadline) await delay(200);
  const violations = await findViolations(ask, installation, happened);
  const states = await statesOf(ask);
  const codes = await service.stop();
  if (codes.some((code) => code !== 0)) violations.push(`the service did not stop in order: ${codes.join(', ')}`);
  violations.push(
    ...(await installation.unfinished()).filter((path) => path.startsWith('work/')).map((path) => `${path} was left`),
  );
  shelf.close();
  await engine.remove();
  if (violations.length === 0) await rm(dir, { recursive: true, force: true });
  else log(`what is left lies in ${dir}, what each process said in ${logs.dir}\n${await logs.about(violations)}`);
  return { kills: rounds, counts: Object.fromEntries(happened.counts), states, violations: [...new Set(violations)] };
}

/** Asks whichever process serves; what a kill has cut off is lost. */
function askOf(service: Service): Ask {
  return async (line, body) => {
    const url = await service.url();
    const [method = 'GET', path = '/'] = line.split(' ');
    const data =
      body === undefined ? undefined : 'data' in body ? new Uint8Array(body.data) : JSON.stringify(body.json);
    const type = body !== undefined && 'data' in body ? 'application/octet-stream' : 'application/json';
    try {
      const response = await fetch(`${url}${path}`, {
        method,
        signal: AbortSignal.timeout(ANSWER_MS),
        headers: { accept: 'application/json', ...(data === undefined ? {} : { 'content-type': type }) },
        ...(data === undefined ? {} : { body: data }),
      });
      const answer: Answer = {
        status: response.status,
        bytes: Buffer.from(await response.arrayBuffer()),
        callId: response.headers.get('x-openstack-request-id') ?? 'no id',
      };
      return answer;
    } catch (error) {
      if (error instanceof Error && error.name === 'TimeoutError') throw error;
      return undefined;
    }
  };
}

async function statesOf(ask: Ask): Promise<Readonly<Record<string, number>>> {
  const answer = await ask('GET /v2/images?limit=1000');
  const { images } = JSON.parse(answer?.bytes.toString() ?? '{"images":[]}') as {
    readonly images: readonly { readonly status: string }[];
  };
  const states: Record<string, number> = {};
  for (const { status } of images) states[status] = (states[status] ?? 0) + 1;
  return states;
}
