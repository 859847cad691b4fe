import { setTimeout as delay } from 'node:timers/promises';
import type { Chance } from './chance.ts';
import type { ServiceProcess } from './server-process.ts';
import { startService } from './server-process.ts';

/** Where the service can be asked. */
export interface Door {
  readonly url: string;
  /** Was the process behind it killed? */
  wasKilled(): boolean;
}

/** What the processes of a service have in common. */
export interface ProcessParts {
  readonly configFile: string;
  /** The words after the program's name, for each process. */
  readonly roles: readonly (readonly string[])[];
  /** Gives the file for what one more process says. */
  readonly newLog: (role: string) => string;
  /** Gives the program of the next process that is started. */
  readonly program: () => string;
  /** May a process have ended by itself that was started then, and was not ready yet? Milliseconds since 1970. */
  readonly mayFail: (startedAt: number) => boolean;
}

/** Processes, each of which is started anew when it ended. */
export interface Processes {
  /** One that serves, each in turn; waits while none does. */
  door(): Promise<Door>;
  /** Kills one of them and starts another; says which. */
  killOne(chance: Chance): Promise<string>;
  /** Ends one after the other in order and starts another in its place, which is ready before the next one ends. */
  replaceAll(): Promise<void>;
  /** Ends all in order; gives the exit codes. */
  stop(): Promise<readonly (number | null)[]>;
  /** How long the last one took until it was ready. */
  startMs(): number;
  /** Those that ended though nobody had killed them, and should not have, with what they said at last. */
  readonly deaths: readonly string[];
}

/** The place of one process after the other. */
interface Place {
  readonly role: readonly string[];
  life: Life;
  /** Settles with the door of the process that is in this place when one is ready. */
  open: PromiseWithResolvers<Door>;
}

interface Life {
  readonly process: ServiceProcess;
  readonly startedAt: number;
  isReady: boolean;
  wasKilled: boolean;
}

/** Before a process is started again that ended by itself. */
const PAUSE_MS = 250;

/** Starts all of them. */
export function runProcesses(parts: ProcessParts): Processes {
  const deaths: string[] = [];
  let startMs = 0;
  const places = parts.roles.map((role): Place => {
    const place = { role, life: startLife(parts, role), open: Promise.withResolvers<Door>() };
    watch(place);
    return place;
  });
  function begin(place: Place): void {
    place.life = startLife(parts, place.role);
    watch(place);
  }
  function watch(place: Place): void {
    const { life } = place;
    const { process, startedAt } = life;
    const opened = async (): Promise<void> => {
      const url = await process.ready;
      if (life.wasKilled) return;
      life.isReady = true;
      startMs = Date.now() - startedAt;
      place.open.resolve({ url, wasKilled: () => life.wasKilled });
    };
    opened().catch(() => {});
    void process.ended.then(async (code) => {
      if (life.wasKilled) return;
      if (life.isReady) place.open = Promise.withResolvers<Door>();
      if (life.isReady || !parts.mayFail(startedAt)) {
        deaths.push(`${place.role.join(' ')} ended by itself (${code}): ${process.lastWords()}`);
      }
      await delay(PAUSE_MS);
      if (!life.wasKilled) begin(place);
    });
  }
  const apis = places.filter(({ role }) => role[0] === 'serve');
  let asked = 0;
  return {
    deaths,
    startMs: () => startMs,
    async door() {
      const ready = apis.filter(({ life }) => life.isReady && !life.wasKilled);
      return ready[asked++ % ready.length]?.open.promise ?? Promise.race(apis.map(({ open }) => open.promise));
    },
    async killOne(chance) {
      const dying = chance.pick(places);
      await end(dying, 'kill');
      begin(dying);
      return dying.role.join(' ');
    },
    async replaceAll() {
      for (const place of places) {
        await end(place, 'stop');
        begin(place);
        await place.open.promise;
      }
    },
    stop: () => Promise.all(places.map((place) => end(place, 'stop'))),
  };
}

function startLife({ configFile, newLog, program }: ProcessParts, role: readonly string[]): Life {
  const logFile = newLog(role.filter((word) => /[a-z]/.test(word)).join(''));
  const process = startService({ configFile, role, logFile, program: program() });
  return { process, startedAt: Date.now(), isReady: false, wasKilled: false };
}

/** Whoever asks from now on waits for the next one, as do those who waited for this one. */
function end(place: Place, how: 'kill' | 'stop'): Promise<number | null> {
  place.life.wasKilled = true;
  if (place.life.isReady) place.open = Promise.withResolvers<Door>();
  return place.life.process[how]();
}
