import { stat } from 'node:fs/promises';

/** How a file is watched. */
export interface FileWatch<T> {
  readonly path: string;
  /** Reads and checks the file; what it throws stops the opening, and later leaves what was there. */
  readonly read: (path: string) => Promise<T>;
  /** How often to look for a change, in milliseconds. */
  readonly everyMs: number;
  /** Gets a line when the file was read again, and when that failed. */
  readonly log: (message: string) => void;
}

/** What a file says, as of its last good state. */
export interface WatchedFile<T> {
  current(): T;
  /** Looks for a change now. Never throws: what is wrong goes to the log. */
  refresh(): Promise<void>;
  close(): void;
}

/** Reads a file and goes on to read it whenever it changes. Throws what `read` throws the first time. */
export async function watchFile<T>({ path, read, everyMs, log }: FileWatch<T>): Promise<WatchedFile<T>> {
  let seen = await signatureOf(path);
  let value = await read(path);
  let running: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    const now = await signatureOf(path);
    if (now === seen) return;
    // Taken before the reading: a change in between is seen at the next look.
    seen = now;
    try {
      value = await read(path);
      log(`${path} has changed and was read again`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log(`${path} has changed and cannot be used; what it said before holds on: ${reason}`);
    }
  };
  const refresh = (): Promise<void> => {
    running ??= look().finally(() => {
      running = undefined;
    });
    return running;
  };
  const timer = setInterval(() => void refresh(), everyMs).unref();
  return { current: () => value, refresh, close: () => clearInterval(timer) };
}

/** Differs when the file was written, replaced or removed. */
async function signatureOf(path: string): Promise<string> {
  try {
    const { mtimeNs, ctimeNs, size, ino } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  }
}
