import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { PostgresServer } from '../../../../fixtures/postgres.ts';
import { startPostgres } from '../../../../fixtures/postgres.ts';
import type { Chance } from './chance.ts';
import type { StateOptions } from './installation.ts';
import type { Door, ProcessParts, Processes } from './processes.ts';
import { runProcesses } from './processes.ts';

/** A service whose processes are started anew whenever they were killed. */
export interface Service extends Omit<Processes, 'door'> {
  /** Where it can be asked; waits while it cannot. */
  door(): Promise<Door>;
  /** Was its database killed since then, or had not come back long ago? Milliseconds since 1970. */
  wasAway(since: number): boolean;
}

/** What keeps the state of a service. */
export interface Engine {
  /** Makes what keeps the state; gives the options that name it. */
  prepare(dir: string): Promise<StateOptions>;
  service(files: Pick<ProcessParts, 'configFile' | 'newLog' | 'program'>): Service;
  remove(): Promise<void>;
}

const API: readonly string[] = ['serve', '--port', '0'];
const WORKER: readonly string[] = ['worker'];

/** Everything in one process, the state in a file. */
export const sqliteEngine: Engine = {
  prepare: async (dir) => ({
    diskmorph: {
      state_database: `sqlite:${join(dir, 'state', 'state.db')}`,
      free_space_margin: '0',
      // One process knows all its readers.
      replaced_data_grace: '2',
    },
  }),
  service: (files) => ({ ...runProcesses({ ...files, roles: [API], mayFail: () => false }), wasAway: () => false }),
  remove: async () => {},
};

/** How often in a hundred times it is PostgreSQL that is killed. */
const DATABASE_SHARE = 12;
/** For how long it stays away, at most. */
const LONGEST_ABSENCE_MS = 4000;
/** When it is there again, connections that broke meanwhile may still be found. */
const AFTERMATH_MS = 3000;

/** The state in PostgreSQL, which is killed too unless it is spared; two processes that serve and two that only work. */
export function postgresEngine(database: 'killed too' | 'spared'): Engine {
  let server: PostgresServer | undefined;
  return {
    async prepare() {
      server = await startPostgres();
      return { database: { connection: await server.database() }, diskmorph: { free_space_margin: '0' } };
    },
    service(files) {
      const mortal = mortalDatabase(() => server);
      const share = database === 'spared' ? 0 : DATABASE_SHARE;
      const roles = [API, [...API, '--no-worker'], WORKER, WORKER];
      const processes = runProcesses({ ...files, roles, mayFail: mortal.wasAway });
      const killOne = (chance: Chance): Promise<string> =>
        chance.percent(share) ? mortal.kill(chance) : processes.killOne(chance);
      return { ...processes, killOne, wasAway: mortal.wasAway };
    },
    remove: async () => server?.stop(),
  };
}

interface MortalDatabase {
  /** Ends it as a power cut or an impatient administrator would; it comes back after a while. Says how. */
  kill(chance: Chance): Promise<string>;
  wasAway(since: number): boolean;
}

function mortalDatabase(find: () => PostgresServer | undefined): MortalDatabase {
  let backAt = 0;
  return {
    async kill(chance) {
      const server = find();
      if (server === undefined) throw new Error('assertion failed: the database was prepared');
      const how = chance.pick(['at once', 'by force'] as const);
      const awayMs = chance.number(LONGEST_ABSENCE_MS);
      backAt = Number.POSITIVE_INFINITY;
      await server.halt(how);
      await delay(awayMs);
      await server.begin();
      backAt = Date.now();
      return `PostgreSQL, ${how}, away for ${awayMs} ms`;
    },
    wasAway: (since) => since < backAt + AFTERMATH_MS,
  };
}
