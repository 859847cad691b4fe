import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { despiteCoarseClock } from '../../../fixtures/coarse-clock.ts';
import { requireQemuImg } from '../../../fixtures/peers.ts';

const run = promisify(execFile);
const SECRET = ['--object', 'secret,id=key,data=passphrase'];

/** How qemu-img makes one small image of each kind that it knows. */
const RECIPES: Readonly<Record<string, readonly string[]>> = {
  'vhd-dynamic': ['-f', 'vpc', '-o', 'subformat=dynamic'],
  'vhd-fixed': ['-f', 'vpc', '-o', 'subformat=fixed'],
  'vhdx-dynamic': ['-f', 'vhdx', '-o', 'block_size=1M,log_size=1M'],
  'vdi-dynamic': ['-f', 'vdi'],
  'vdi-static': ['-f', 'vdi', '-o', 'static=on'],
  qed: ['-f', 'qed'],
  'qed-backing': ['-f', 'qed', '-b', '/etc/hostname', '-F', 'raw', '-u'],
  parallels: ['-f', 'parallels'],
  luks: [...SECRET, '-f', 'luks', '-o', 'key-secret=key,iter-time=10'],
  qcow: ['-f', 'qcow'],
  'qcow-backing': ['-f', 'qcow', '-b', '/etc/hostname', '-F', 'raw', '-u'],
  'qcow-encrypted': [...SECRET, '-f', 'qcow', '-o', 'encrypt.format=aes,encrypt.key-secret=key'],
  qcow2: ['-f', 'qcow2'],
  'qcow2-backing': ['-f', 'qcow2', '-b', '/etc/hostname', '-F', 'raw', '-u'],
  'qcow2-encrypted': [...SECRET, '-f', 'qcow2', '-o', 'encrypt.format=aes,encrypt.key-secret=key'],
  'vmdk-sparse': ['-f', 'vmdk'],
  'vmdk-stream': ['-f', 'vmdk', '-o', 'subformat=streamOptimized'],
};

export const GOLDEN_NAMES: readonly string[] = Object.keys(RECIPES);

/** Guest bytes of every golden, before a format rounds them up. */
export const GOLDEN_SIZE: number = 4 * 2 ** 20;

/** The images of those names (by default all), made by qemu-img now and read into memory. */
export async function makeGoldens(...names: readonly string[]): Promise<ReadonlyMap<string, Uint8Array>> {
  const qemuImg = await requireQemuImg();
  return inScratchFolder(async (folder) => {
    const goldens = new Map<string, Uint8Array>();
    for (const [name, recipe] of Object.entries(RECIPES)) {
      if (names.length > 0 && !names.includes(name)) continue;
      const path = join(folder, name);
      await create(qemuImg, [...recipe, path, String(GOLDEN_SIZE)]);
      goldens.set(name, await readBytesOf(path));
    }
    return goldens;
  });
}

async function create(qemuImg: string, rest: readonly string[]): Promise<void> {
  await despiteCoarseClock(() => run(qemuImg, ['create', '-q', ...rest]));
}

/** Runs `work` in a fresh folder that is removed afterwards. */
export async function inScratchFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'diskmorph-inspect-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

export async function readBytesOf(path: string): Promise<Uint8Array> {
  return Uint8Array.from(await readFile(path));
}

/** The golden of that name. */
export function golden(goldens: ReadonlyMap<string, Uint8Array>, name: string): Uint8Array {
  const bytes = goldens.get(name);
  if (bytes === undefined) throw new Error(`there is no golden ${name}`);
  return bytes;
}

/** A copy of `bytes` with `patch` at `at` (from the end when negative), grown as needed. */
export function patched(bytes: Uint8Array, at: number, patch: ArrayLike<number>): Uint8Array {
  const start = at < 0 ? bytes.length + at : at;
  const copy = new Uint8Array(Math.max(bytes.length, start + patch.length));
  copy.set(bytes);
  copy.set(patch, start);
  return copy;
}

/** The parts one after another. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}
