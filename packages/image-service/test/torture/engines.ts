import { join } from 'node:path';
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
  /** The last that its processes said. */
  said(): string;
}

/** What keeps the state of a service. */
export interface Engine {
  /** Makes what keeps the state; gives the options that name it. */
  prepare(dir: string): Promise<StateOptions>;
  service(configFile: string): Service;
  remove(): Promise<void>;
}

/** Everything in one process, the state in a file. */
export const sqliteEngine: Engine = {
  prepare: async (dir) => ({
    diskmorph: { state_database: `sqlite:${join(dir, 'state', 'state.db')}`, free_space_margin: '0' },
  }),
  service: (configFile) => oneProcess(configFile),
  remove: async () => {},
};

function oneProcess(configFile: string): Service {
  const start = (): ServiceProcess => startService(configFile, ['serve', '--port', '0']);
  let current = start();
  return {
    async url() {
      for (;;) {
        const asked = current;
        try {
          return await asked.serving;
        } catch (error) {
          if (asked === current) throw error;
        }
      }
    },
    async killOne() {
      const dying = current;
      const killed = dying.kill();
      // Whoever asks from now on waits for the next one, which starts when this one is dead.
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      promise.catch(() => {});
      current = { ...dying, serving: promise };
      await killed;
      current = start();
      current.serving.then(resolve, reject);
      return 'the service';
    },
    stop: async () => [await current.stop()],
    said: () => current.said(),
  };
}
