import { beforeAll, expect, test } from 'vitest';
import type { NamedImage } from './qemu-img-map-images.ts';
import { makeMappedImages } from './qemu-img-map-images.ts';
import { comparable, ours, theirs } from './qemu-img-run.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();
let folder: string;
let images: readonly NamedImage[];

beforeAll(async () => {
  folder = scratch.path('.');
  images = await makeMappedImages(folder);
});

test.each([['map', '--output=json'], ['map'], ['measure', '-O', 'qcow2']])(
  '%s %s %s says what qemu-img 7.2 says of holes, subclusters and chains',
  async (...look) => {
    const command = look.filter((part) => part !== undefined);
    for (const { name, format } of images) {
      const args = [...command, '-f', format, name];
      // A file system may count pages that were read as data: both must have read the same, so the one that reads more is first.
      const mine = comparable(await ours(folder, ...args));
      expect({ name, ...mine }).toEqual({ name, ...comparable(await theirs(folder, ...args)) });
    }
  },
);
