/** The figures of a run, as they are kept in `bench/results`. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Goal, ScalingPoint } from './cases.ts';
import type { ContenderResult } from './contest.ts';
import type { Machine } from './machine.ts';

/** One case with its figures; the peer is the first contender, ours the second. */
export interface CaseResult {
  readonly name: string;
  readonly group: string;
  /** What both programs did, in words. */
  readonly title: string;
  readonly goal?: Goal;
  /** The most that the result may be, as a multiple of the peer's. */
  readonly sizeGoal?: number;
  readonly scaling?: ScalingPoint;
  readonly contenders: readonly ContenderResult[];
}

/** A whole run. */
export interface RunResult {
  /** Rises when the shape of this record changes. */
  readonly version: 1;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  /** Of the sources, with `+` behind it where they had been changed since. */
  readonly commit: string;
  readonly kind: RunKind;
  readonly machine: Machine;
  /** What the images hold, in words. */
  readonly disk: string;
  readonly cases: readonly CaseResult[];
}

/** `full`: every case; `part`: those that were asked for. */
export type RunKind = 'full' | 'part' | 'quick';

const DEFAULT_FOLDER = join(import.meta.dirname, 'results');

/** The name of the run's files without their ending: the time in UTC, and the kind unless it is `full`. */
export function resultName({ startedAt, kind }: Pick<RunResult, 'startedAt' | 'kind'>): string {
  const time = startedAt.slice(0, 'YYYY-MM-DDTHH:MM:SS'.length).replaceAll(':', '-');
  return kind === 'full' ? time : `${time}-${kind}`;
}

/** Keeps the run as JSON and as Markdown. Returns the path of the JSON file. */
export async function keepResult(run: RunResult, markdown: string, folder: string = DEFAULT_FOLDER): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${resultName(run)}.json`);
  await writeFile(path, `${JSON.stringify(run, undefined, 1)}\n`);
  await writeFile(join(folder, `${resultName(run)}.md`), markdown);
  return path;
}

/** Reads a run. Throws an Error when the file holds none of this version. */
export async function readResult(path: string): Promise<RunResult> {
  const run: RunResult = JSON.parse(await readFile(path, 'utf8'));
  if (run.version !== 1) throw new Error(`${path} is no result of this version of the benchmark`);
  return run;
}

/** The path of the newest run of every case. Throws an Error when there is none. */
export async function newestFullResult(folder: string = DEFAULT_FOLDER): Promise<string> {
  const names = (await readdir(folder)).filter((name) => /^[-\dT]+\.json$/.test(name)).sort();
  const newest = names.at(-1);
  if (newest === undefined) throw new Error(`${folder} holds no full run; make one with "npm run bench"`);
  return join(folder, newest);
}
