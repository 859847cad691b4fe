import { join } from 'node:path';
import type { PostgresServer } from '../../../../fixtures/postgres.ts';
import { startPostgres } from '../../../../fixtures/postgres.ts';
import type { Chance } from './chance.ts';
import type { StateOptions } from './installation.ts';
import type { ServiceProcess } from './server-process.ts';
import { startService } from './server-process.ts';

/** A service whose processes are started anew whenever they were killed. */
export interface Service {
  /** Where it can be asked; waits while it is starting. */
  url(): Promise<string>;
  /** Kills one of its processes and starts another; says which. */
  killOne(chance: Chance): Promise<string>;
  /** Ends it in order; gives the exit codes. */
  stop(): Promise<readonly (number | null)[]>;
}

/** Files of a service. */
export interface ServiceFiles {
  readonly configFile: string;
  /** Gives the file for what one more process says. */
  readonly newLog: (role: string) => string;
}

/** What keeps the state of a service. */
export interface Engine {
  /** Makes what keeps the state; gives the options that name it. */
  prepare(dir: string): Promise<StateOptions>;
  service(files: ServiceFiles): Service;
  remove(): Promise<void>;
}

/** Everything in one process, the state in a file. */
export const sqliteEngine: Engine = {
  prepare: async (dir) => ({
    diskmorph: { state_database: `sqlite:${join(dir, 'state', 'state.db')}`, free_space_margin: '0' },
  }),
  service: (files) => processes(files, [API]),
  remove: async () => {},
};

/** The state in PostgreSQL, two processes that serve and two that only work; PostgreSQL itself is not killed. */
export function postgresEngine(): Engine {
  let server: PostgresServer | undefined;
  return {
    async prepare() {
      server = await startPostgres();
      return { database: { connection: await server.database() }, diskmorph: { free_space_margin: '0' } };
    },
    service: (files) => processes(files, [API, [...API, '--no-worker'], WORKER, WORKER]),
    remove: async () => server?.stop(),
  };
}

const API: readonly string[] = ['serve', '--port', '0'];
const WORKER: readonly string[] = ['worker'];

interface RunningProcess {
  readonly role: readonly string[];
  process: ServiceProcess;
  /** Settles with its URL, or with that of the one which takes its place. */
  url: Promise<string>;
}

/** Processes of these roles, each of which is started anew when it was killed. */
function processes(files: ServiceFiles, roles: readonly (readonly string[])[]): Service {
  const start = (role: readonly string[]): ServiceProcess =>
    startService(files.configFile, role, files.newLog(role.filter((word) => /[a-z]/.test(word)).join('')));
  const running = roles.map((role): RunningProcess => {
    const process = start(role);
    return { role, process, url: process.serving };
  });
  const apis = running.filter(({ role }) => role[0] === 'serve');
  let asked = 0;
  return {
    async url() {
      const api = apis[asked++ % apis.length];
      if (api === undefined) throw new Error('assertion failed: something serves');
      for (;;) {
        const { url } = api;
        try {
          return await url;
        } catch (error) {
          // Killed while it was starting: another one has taken its place.
          if (url === api.url) throw error;
        }
      }
    },
    async killOne(chance) {
      const dying = chance.pick(running);
      // Whoever asks from now on waits for the next one, which starts when this one is dead.
      const next = Promise.withResolvers<string>();
      next.promise.catch(() => {});
      dying.url = next.promise;
      await dying.process.kill();
      dying.process = start(dying.role);
      dying.process.serving.then(next.resolve, next.reject);
      return dying.role.join(' ');
    },
    stop: () => Promise.all(running.map(({ process }) => process.stop())),
  };
}
