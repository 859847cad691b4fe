import { createHash, randomBytes } from 'node:crypto';
import { access, constants, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { requireQemuImg } from '../../../fixtures/peers.ts';
import { nodeImageTools } from '../src/import/node-image-tools.ts';
import type { OpenOptions } from '../src/main.ts';
import { openImageService } from '../src/main.ts';
import type { ImageService } from '../src/import/service.ts';

const run = promisify(execFile);

/** An installation of its own with two stores, in a directory that is removed afterwards. */
export interface World {
  readonly dir: string;
  readonly configFile: string;
  /** Opens the service; what is open is closed by `remove`. */
  open(options?: OpenOptions): Promise<ImageService>;
  /** A path for a file of the test's own. */
  path(name: string): string;
  /** Everything below the work directory, the staging store and both stores. */
  files(): Promise<readonly string[]>;
  storePath(store: string, location: string): string;
  remove(): Promise<void>;
}

/** The options with images read in this process: the tests of readers have their own, all others would wait for them. */
export function readingHere<Options extends OpenOptions>(options: Options): Options {
  const { intercept = (parts) => parts } = options;
  return { ...options, intercept: (parts) => intercept({ ...parts, tools: nodeImageTools(undefined) }) };
}

/** Where flushing costs nothing, for tests that lose no power and make hundreds of worlds. */
export async function memoryDirectory(): Promise<string> {
  return access('/dev/shm', constants.W_OK).then(
    () => '/dev/shm',
    () => tmpdir(),
  );
}

/** Makes a world below `base`. */
export async function makeWorld(base: string = tmpdir()): Promise<World> {
  const dir = await mkdtemp(join(base, 'diskmorph-world-'));
  const places = ['work', 'staging', 'store-a', 'store-b', 'state'];
  for (const place of places) await mkdir(join(dir, place));
  const configFile = join(dir, 'diskmorph.conf');
  await writeFile(configFile, configuration(dir));
  const services: ImageService[] = [];
  return {
    dir,
    configFile,
    async open(options = {}) {
      const service = await openImageService(readingHere({ configFiles: [configFile], environment: {}, ...options }));
      services.push(service);
      return service;
    },
    path: (name) => join(dir, name),
    async files() {
      const lists = await Promise.all(
        places.slice(0, 4).map(async (place) => {
          const names = await readdir(join(dir, place), { recursive: true });
          return names.map((name) => `${place}/${name}`);
        }),
      );
      return lists.flat().sort();
    },
    storePath: (store, location) => join(dir, `store-${store}`, location),
    async remove() {
      await Promise.all(services.map((service) => service.close()));
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function configuration(dir: string): string {
  return `
[DEFAULT]
enabled_backends = a:file, b:file
[glance_store]
default_backend = a
[a]
filesystem_store_datadir = ${dir}/store-a
[b]
filesystem_store_datadir = ${dir}/store-b
[os_glance_tasks_store]
filesystem_store_datadir = ${dir}/work
[os_glance_staging_store]
filesystem_store_datadir = ${dir}/staging
[diskmorph]
state_database = sqlite:${dir}/state/state.db
free_space_margin = 0
`;
}

/** Bytes of a raw disk that no signature fits: random data, a hole, random data. */
export function diskBytes(): Buffer {
  return Buffer.concat([
    Buffer.alloc(4096, 0x55),
    randomBytes(60 * 1024),
    Buffer.alloc(512 * 1024),
    randomBytes(64 * 1024),
  ]);
}

/** Runs qemu-img; gives what it prints. */
export async function qemuImg(...parameters: string[]): Promise<string> {
  return (await run(await requireQemuImg(), parameters)).stdout;
}

/** The file as an ISO 9660 volume of the smallest kind: system area, primary descriptor, terminator. */
export function isoBytes(): Buffer {
  const bytes = Buffer.alloc(20 * 2048);
  const primary = bytes.subarray(16 * 2048);
  primary.set([1]);
  primary.write('CD001', 1, 'ascii');
  primary.write('VOLUME'.padEnd(32), 40, 'ascii');
  primary.writeUInt32LE(20, 80);
  primary.writeUInt16LE(2048, 128);
  bytes[17 * 2048] = 255;
  bytes.write('CD001', 17 * 2048 + 1, 'ascii');
  return bytes;
}

/** The SHA-512 of a file, in hex. */
export async function sha512(path: string): Promise<string> {
  return createHash('sha512')
    .update(await readFile(path))
    .digest('hex');
}
