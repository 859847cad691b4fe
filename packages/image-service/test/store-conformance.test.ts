import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { S3Server } from '../../../fixtures/radosgw.ts';
import { startRadosgw } from '../../../fixtures/radosgw.ts';
import { copyBytes } from '../src/staging/copy.ts';
import type { FileStoreOptions } from '../src/store/file-store.ts';
import { fileStore } from '../src/store/file-store.ts';
import { s3Store } from '../src/store/s3/s3-store.ts';
import { describeStore } from './store-conformance.ts';
import type { StoreUnderTest } from './store-conformance.ts';
import { beginUpload } from '../src/store/s3/upload.ts';
import { bucketContents, s3Options, s3Place } from './s3-world.ts';
import { memoryDirectory } from './world.ts';

const INSTANCE = '33333333-3333-4333-8333-333333333333';
const OTHER_INSTANCE = '44444444-4444-4444-8444-444444444444';

async function fileWorld(more: Partial<FileStoreOptions>): Promise<StoreUnderTest> {
  const dir = await mkdtemp(join(await memoryDirectory(), 'diskmorph-files-'));
  const directories = [
    { path: join(dir, 'a'), weight: 1 },
    { path: join(dir, 'b'), weight: 5 },
  ];
  for (const { path } of directories) await mkdir(path);
  const options = { id: 's', directories, instanceId: INSTANCE, copy: copyBytes, ...more };
  return {
    open: async () => fileStore(options),
    openOther: async () => fileStore({ ...options, instanceId: OTHER_INSTANCE }),
    residue: async () => {
      const names = await readdir(dir, { recursive: true });
      const files = await Promise.all(
        names.map(async (name) => ((await stat(join(dir, name))).isFile() ? [name] : [])),
      );
      return files.flat().toSorted();
    },
    leaveUnfinished: (whose, imageId) =>
      writeFile(join(dir, 'b', `.${whose === 'ours' ? INSTANCE : OTHER_INSTANCE}.${imageId}.1`), 'half'),
    close: () => rm(dir, { recursive: true, force: true }),
  };
}

describeStore({ name: 'of files', make: () => fileWorld({}), largeBytes: 4 * 2 ** 20 });
describeStore({
  name: 'of files in sub-directories',
  make: () => fileWorld({ layout: 'subdirectories' }),
  largeBytes: 4 * 2 ** 20,
});

let server: S3Server | undefined;
beforeAll(async () => {
  server = await startRadosgw();
});
afterAll(async () => server?.stop());

describeStore({
  name: 'on an S3 server',
  largeBytes: 24 * 2 ** 20,
  make: async () => {
    const options = s3Options(server, { instanceId: INSTANCE, bucket: 'conformance' });
    return {
      open: async () => s3Store(options),
      openOther: async () => s3Store({ ...options, instanceId: OTHER_INSTANCE }),
      residue: () => bucketContents(options),
      leaveUnfinished: async (whose, imageId) => {
        const instanceId = whose === 'ours' ? INSTANCE : OTHER_INSTANCE;
        await beginUpload(s3Place(options), `${instanceId}/${imageId}.1`);
      },
      close: async () => {},
    };
  },
});
