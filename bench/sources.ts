/** The images that cases read: made at the first run, then taken from the cache. */
import { rename } from 'node:fs/promises';
import { runCommand } from '../fixtures/command.ts';
import type { DiskFixture } from '../fixtures/disk-fixture.ts';
import { requireFragmentedDisk } from '../fixtures/fragmented-disk.ts';
import { requireQemuImg } from '../fixtures/peers.ts';
import { isThere, requireScatteredDisk } from '../fixtures/scattered-disk.ts';
import type { BenchCase, Source } from './cases.ts';

/** What a case reads. */
export function sourcesOf({ task }: BenchCase): readonly Source[] {
  return task.kind === 'compare' ? [task.source, task.other] : [task.source];
}

/** The variants that the fixture disk must have for these cases. */
export function variantsFor(chosen: readonly BenchCase[]): string[] {
  const names = chosen.flatMap(sourcesOf).map((source) => (source.kind === 'fixture' ? source.name : 'raw'));
  return [...new Set(names)].filter((name) => name !== 'raw');
}

/** The path of the image. Scattered and fragmented disks lie beside the fixture that their content comes from. */
export async function sourcePath(source: Source, fixture: DiskFixture): Promise<string> {
  switch (source.kind) {
    case 'file':
      return source.path;
    case 'fixture':
      return fixture.path(source.name);
    case 'fragmented':
      return requireFragmentedDisk(fixture.folder, fixture.path('raw'), source.disk);
    case 'scattered': {
      const raw = await requireScatteredDisk(fixture.folder, fixture.path('raw'), source.disk);
      return source.format === 'raw' ? raw : qcow2Of(raw);
    }
  }
}

async function qcow2Of(raw: string): Promise<string> {
  const path = `${raw.slice(0, -'.raw'.length)}.qcow2`;
  if (await isThere(path)) return path;
  const qemuImg = await requireQemuImg();
  await runCommand(qemuImg, ['convert', '-f', 'raw', '-O', 'qcow2', raw, `${path}.new`]);
  await rename(`${path}.new`, path);
  return path;
}
