import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, rm, rmdir, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/**
 * What the processes that share directories have promised there, told to each other by files: one for each process, of the
 * length that it has promised (they hold no data), renewed while it lives.
 */
export interface SpaceClaims {
  /** From now on so many bytes are promised here. */
  tell(directory: string, bytes: number): Promise<void>;
  /** What the others have promised; claims of those that are no more are removed. */
  ofOthers(directory: string): Promise<number>;
  /** Removes what processes that are no more have left. */
  forgetGone(directory: string): Promise<void>;
  /** Nothing is promised any more. */
  close(): Promise<void>;
}

const FOLDER = '.diskmorph-space';
/** How often a claim is renewed; one that was not for three times that long is nobody's. */
const RENEWAL_MS = 20_000;
const STALE_MS = 3 * RENEWAL_MS;
/** Each of them was lost to somebody else who removed the empty folder in that very moment. */
const MOST_ATTEMPTS = 100;

/** The claims of this process, by a name that no other has. */
export function spaceClaims(name: string): SpaceClaims {
  const own = `${hostname()}.${process.pid}.${name}`;
  const told = new Set<string>();
  const withdraw = async (directory: string): Promise<void> => {
    told.delete(directory);
    await rm(join(directory, FOLDER, own), { force: true });
    await removeEmpty(join(directory, FOLDER));
  };
  const ofOthers = async (directory: string): Promise<number> => {
    const names = await readdir(join(directory, FOLDER)).catch(() => []);
    const claims = names.filter((each) => each !== own).map((each) => claimOf(join(directory, FOLDER, each), each));
    return (await Promise.all(claims)).reduce((sum, each) => sum + each, 0);
  };
  const renew = (): void => {
    const time = new Date();
    for (const directory of told) void utimes(join(directory, FOLDER, own), time, time).catch(() => {});
  };
  const timer = setInterval(renew, RENEWAL_MS).unref();
  return {
    async tell(directory, bytes) {
      if (bytes === 0) return withdraw(directory);
      const file = await openClaim(join(directory, FOLDER), own);
      try {
        await file.truncate(bytes);
      } finally {
        await file.close();
      }
      told.add(directory);
    },
    ofOthers,
    async forgetGone(directory) {
      await ofOthers(directory);
      await removeEmpty(join(directory, FOLDER));
    },
    async close() {
      clearInterval(timer);
      await Promise.all([...told].map(withdraw));
    },
  };
}

/** Opens the claim, in a folder that others make and remove at the same time. */
async function openClaim(folder: string, name: string): Promise<FileHandle> {
  for (let attempt = 1; ; attempt++) {
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      return await open(join(folder, name), 'a', 0o600);
    } catch (error) {
      const removed = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (!removed || attempt === MOST_ATTEMPTS) throw error;
    }
  }
}

/** Others may have their claims there; then it stays. */
async function removeEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch(() => {});
}

/** The bytes of a claim; 0, and gone, when its process is. */
async function claimOf(path: string, name: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return 0;
  if (!isGone(name) && Date.now() - found.mtimeMs < STALE_MS) return found.size;
  await rm(path, { force: true });
  return 0;
}

/** Is it a process of this machine that is no more? */
function isGone(name: string): boolean {
  const host = hostname();
  if (!name.startsWith(`${host}.`)) return false;
  const [pid = ''] = name.slice(host.length + 1).split('.');
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH';
  }
}
