import { access, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { HealthCheck, HealthReport, LookAtHealth } from './api/health.ts';
import type { Catalog } from './catalog/repositories.ts';
import type { Configuration } from './config/load.ts';
import type { Journal } from './flow/journal.ts';
import type { StagedData } from './import/staged/staged-data.ts';
import { localDisk } from './staging/space.ts';
import type { ImageStore } from './store/store.ts';
import type { Gauge } from './telemetry/figures.ts';

/** What is looked at. */
export interface HealthParts {
  readonly configuration: Pick<
    Configuration,
    'workDir' | 'stagingServer' | 'stagingStoreDatadir' | 'freeSpaceMargin' | 'operators'
  >;
  readonly catalog: Pick<Catalog, 'images'>;
  readonly uploads: Pick<StagedData, 'checkReady'>;
  readonly stores: ReadonlyMap<string, ImageStore>;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
}

/** Checks that are younger are told again: anybody may ask, as often as they like. */
const CHECKS_LAST_MS = 2000;

/** What takes longer is not well: whoever asks does not wait for long. */
const CHECK_LIMIT_MS = 5000;

/** Looks at the database, the stores and the space for work; a file of the configuration takes the service out of use. */
export function healthOf(parts: HealthParts): LookAtHealth {
  const { disablingFiles } = parts.configuration.operators;
  let looked: { readonly at: number; readonly checks: Promise<readonly HealthCheck[]> } | undefined;
  return async (port): Promise<HealthReport> => {
    const files = disablingFiles.filter((file) => file.port === undefined || file.port === port);
    const there = await Promise.all(files.map(({ path }) => succeeds(access(path))));
    if (there.includes(true)) return { disabled: true, checks: [] };
    if (looked === undefined || parts.now() - looked.at > CHECKS_LAST_MS) {
      looked = { at: parts.now(), checks: Promise.all(checksOf(parts)) };
    }
    return { disabled: false, checks: await looked.checks };
  };
}

function checksOf(parts: HealthParts): readonly Promise<HealthCheck>[] {
  const { catalog, stores, uploads, configuration } = parts;
  return [
    check('database', 'The database does not answer', () => succeeds(catalog.images.list({ limit: 1 }))),
    ...Array.from(stores.values(), (store) =>
      check(`store ${store.id}`, `Nothing can be put into the store ${store.id}`, () => takesData(store)),
    ),
    ...(configuration.stagingServer === undefined
      ? []
      : [check('staging server', 'Nothing can be staged', () => succeeds(uploads.checkReady()))]),
    ...workDirectories(configuration).map(({ area, path }) =>
      check(`space for ${area}`, `There is no space left for ${area}`, async () => {
        return (await localDisk.free(path)) > configuration.freeSpaceMargin;
      }),
    ),
  ];
}

async function check(name: string, fault: string, look: () => Promise<boolean>): Promise<HealthCheck> {
  const tooLate = delay(CHECK_LIMIT_MS, false, { ref: false });
  const isWell = await Promise.race([look().catch(() => false), tooLate]);
  return { name, fault: isWell ? undefined : fault };
}

async function takesData(store: ImageStore): Promise<boolean> {
  await store.checkReady();
  return store.readOnly || (await store.freeBytes()) !== 0;
}

interface WorkDirectory {
  readonly area: 'work' | 'uploads';
  readonly path: string;
}

function workDirectories({ workDir, stagingStoreDatadir }: HealthParts['configuration']): readonly WorkDirectory[] {
  const work = { area: 'work', path: workDir } as const;
  const uploads = { area: 'uploads', path: stagingStoreDatadir ?? workDir } as const;
  return uploads.path === work.path ? [work] : [work, uploads];
}

/** Figures that are looked up when somebody asks: tasks, space for work, space in stores. */
export async function gaugesOf(
  { configuration, stores }: HealthParts,
  journal: Pick<Journal<never>, 'countUnfinished'>,
): Promise<readonly Gauge[]> {
  const looked = [
    taskGauges(journal),
    ...workDirectories(configuration).map(spaceGauges),
    ...Array.from(stores.values(), storeGauges),
  ];
  const found = await Promise.all(looked.map((gauges) => gauges.catch(() => [])));
  return found.flat();
}

const TASK_STATES = ['queued', 'running', 'reverting', 'concluding'] as const;

async function taskGauges(journal: Pick<Journal<never>, 'countUnfinished'>): Promise<readonly Gauge[]> {
  const counts = await journal.countUnfinished();
  return TASK_STATES.map((state) => ({ name: 'diskmorph_tasks', labels: { state }, value: counts[state] ?? 0 }));
}

async function spaceGauges({ area, path }: WorkDirectory): Promise<readonly Gauge[]> {
  return [
    { name: 'diskmorph_work_space_free_bytes', labels: { area }, value: await localDisk.free(path) },
    { name: 'diskmorph_work_space_used_bytes', labels: { area }, value: await usedBytes(path) },
  ];
}

async function storeGauges(store: ImageStore): Promise<readonly Gauge[]> {
  const free = store.readOnly ? undefined : await store.freeBytes();
  return free === undefined ? [] : [{ name: 'diskmorph_store_free_bytes', labels: { store: store.id }, value: free }];
}

const BLOCK_BYTES = 512;

/** What the files below a directory take on the disk; files that go meanwhile take nothing. */
async function usedBytes(directory: string): Promise<number> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(
    files.map((file) =>
      stat(join(file.parentPath, file.name)).then(
        ({ blocks }) => blocks * BLOCK_BYTES,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, each) => sum + each, 0);
}

async function succeeds(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}
