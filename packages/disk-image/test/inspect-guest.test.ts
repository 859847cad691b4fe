import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { requirePackage, requireQemuImg } from '../../../fixtures/peers.ts';
import { memorySource } from '../src/bytes/byte-source.ts';
import { portableCodecs } from '../src/bytes/portable-codecs.ts';
import { formats } from '../src/formats/all.ts';
import type { InspectOptions } from '../src/inspect/inspect.ts';
import { inspect } from '../src/inspect/inspect.ts';
import type { Verdict } from '../src/inspect/verdict.ts';
import { inScratchFolder, patched, readBytesOf } from './goldens.ts';
import { mbrSector, withGptHeader, withIso } from './inspect-disks.ts';

const run = promisify(execFile);
const MIB = 2 ** 20;
const GPT_SCRIPT =
  'label: gpt\nlabel-id: 0FC63DAF-0000-4000-8000-000000000001\nsize=2M, name="root", type=L\nsize=1M, name="swap", type=S\n';

let dos: Uint8Array;
let gpt: Uint8Array;
beforeAll(async () => {
  dos = await partitionedDisk(
    'label: dos\nlabel-id: 0x12345678\nstart=2048,size=4096,type=83,bootable\nstart=8192,size=6144,type=5\nstart=14336,size=1024,type=82\nstart=10240,size=1024,type=83\nstart=13312,size=512,type=83\n',
  );
  gpt = await partitionedDisk(GPT_SCRIPT);
});

async function partitionedDisk(script: string): Promise<Uint8Array> {
  const sfdisk = await requirePackage('sfdisk', 'fdisk');
  return inScratchFolder(async (folder) => {
    const path = join(folder, 'disk');
    await writeFile(path, new Uint8Array(8 * MIB));
    const done = run(sfdisk, ['-q', path]);
    done.child.stdin?.end(script);
    await done;
    return readBytesOf(path);
  });
}

async function asQcow2(disk: Uint8Array, ...options: readonly string[]): Promise<Uint8Array> {
  const qemuImg = await requireQemuImg();
  return inScratchFolder(async (folder) => {
    await writeFile(join(folder, 'raw'), disk);
    await run(qemuImg, ['convert', '-f', 'raw', '-O', 'qcow2', ...options, join(folder, 'raw'), join(folder, 'qcow2')]);
    return readBytesOf(join(folder, 'qcow2'));
  });
}

function verdictOn(bytes: Uint8Array, options: Partial<InspectOptions> = {}): Promise<Verdict> {
  return inspect(memorySource(bytes), { codecs: portableCodecs, formats, ...options });
}

function codes(verdict: Verdict): readonly string[] {
  return verdict.findings.map(({ code, severity }) => `${severity} ${code}`);
}

describe('partition tables', () => {
  test('an MBR with logical partitions, as sfdisk makes it', async () => {
    const verdict = await verdictOn(dos, { declared: 'raw' });
    expect(verdict).toMatchObject({ verdict: 'safe', format: 'raw', findings: [] });
    expect(verdict.partitionTable).toMatchObject({ kind: 'mbr', id: '12345678', sectorSize: 512 });
    expect(verdict.partitionTable?.partitions).toEqual([
      { index: 1, type: '0x83', offset: MIB, length: 2 * MIB, bootable: true, role: 'primary' },
      { index: 2, type: '0x05', offset: 4 * MIB, length: 3 * MIB, bootable: false, role: 'extended' },
      { index: 3, type: '0x82', offset: 7 * MIB, length: MIB / 2, bootable: false, role: 'primary' },
      { index: 5, type: '0x83', offset: 5 * MIB, length: MIB / 2, bootable: false, role: 'logical' },
      { index: 6, type: '0x83', offset: 6.5 * MIB, length: MIB / 4, bootable: false, role: 'logical' },
    ]);
  });

  test('a GPT, as sfdisk makes it', async () => {
    const verdict = await verdictOn(gpt, { declared: 'gpt' });
    expect(verdict).toMatchObject({ verdict: 'safe', format: 'raw', findings: [] });
    expect(verdict.partitionTable).toMatchObject({ kind: 'gpt', id: '0fc63daf-0000-4000-8000-000000000001' });
    expect(verdict.partitionTable?.partitions).toMatchObject([
      { index: 1, name: 'root', type: '0fc63daf-8483-4772-8e79-3d69d8477de4', offset: MIB, length: 2 * MIB },
      { index: 2, name: 'swap', type: '0657fd6d-a4ab-43c4-84e5-0933c84b4f4f', offset: 3 * MIB, length: MIB },
    ]);
  });

  test.each([{ options: [] }, { options: ['-c'] }])('the same disk inside a qcow2 $options', async ({ options }) => {
    const verdict = await verdictOn(await asQcow2(gpt, ...options));
    expect(verdict).toMatchObject({ verdict: 'safe', format: 'qcow2', partitionTable: { kind: 'gpt' } });
    expect(verdict.partitionTable).toEqual((await verdictOn(gpt)).partitionTable);
  });

  test.each([
    {
      name: 'a header with a wrong checksum: the backup is used',
      change: (disk: Uint8Array) => patched(disk, 512 + 40, [1]),
      kind: 'gpt',
      found: ['warning partition-table-damaged'],
    },
    {
      name: 'entries with a wrong checksum: the backup is used',
      change: (disk: Uint8Array) => patched(disk, 1024 + 60, [1]),
      kind: 'gpt',
      found: ['warning partition-table-damaged'],
    },
    {
      name: 'a backup that is gone',
      change: (disk: Uint8Array) => patched(disk, -512, new Uint8Array(8)),
      kind: 'gpt',
      found: ['warning partition-table-damaged'],
    },
    {
      name: 'a disk that was enlarged',
      change: (disk: Uint8Array) => patched(disk, disk.length, new Uint8Array(MIB)),
      kind: 'gpt',
      found: ['info partition-table-damaged'],
    },
    {
      name: 'a disk cut short',
      change: (disk: Uint8Array) => disk.subarray(0, 2 * MIB),
      kind: 'gpt',
      found: ['warning partition-table-damaged', 'warning partition-outside-disk', 'warning partition-outside-disk'],
    },
    {
      name: 'no GPT behind a protective MBR',
      change: (disk: Uint8Array) => patched(disk, 512, new Uint8Array(8)),
      kind: 'protective',
      found: ['warning partition-table-damaged'],
    },
    {
      name: 'an MBR that names partitions of its own',
      change: (disk: Uint8Array) =>
        patched(
          disk,
          0,
          mbrSector([
            { type: 0xee, first: 1, sectors: 2047 },
            { type: 0x0c, first: 2048, sectors: 4096 },
          ]),
        ),
      kind: 'hybrid',
      found: ['warning hybrid-partition-table'],
    },
    {
      name: 'a million entries',
      change: (disk: Uint8Array) => withGptHeader(disk, (header) => header.setUint32(80, 1_000_000, true)),
      kind: 'gpt',
      found: ['warning partition-table-damaged'],
    },
    {
      name: 'entries beyond the end of the disk',
      change: (disk: Uint8Array) => withGptHeader(disk, (header) => header.setBigUint64(72, 2n ** 64n - 1n, true)),
      kind: 'gpt',
      found: ['warning partition-table-damaged'],
    },
  ])('a GPT with $name', async ({ change, kind, found }) => {
    const verdict = await verdictOn(change(gpt));
    expect(codes(verdict)).toEqual(found);
    expect(verdict.partitionTable?.kind).toBe(kind);
    expect(verdict.format).toBe('raw');
  });

  test.each([
    {
      name: 'overlapping partitions',
      partitions: [
        { type: 0x83, first: 1, sectors: 100 },
        { type: 0x83, first: 50, sectors: 100 },
      ],
      found: ['warning partition-overlap'],
    },
    {
      name: 'a partition beyond the end of the disk',
      partitions: [{ type: 0x83, first: 1, sectors: 2 ** 32 - 1 }],
      found: ['warning partition-outside-disk'],
    },
    {
      name: 'an extended partition without a boot record',
      partitions: [{ type: 0x05, first: 64, sectors: 100 }],
      found: ['warning partition-table-damaged'],
    },
    {
      name: 'an extended partition whose record is the MBR itself',
      partitions: [
        { type: 0x83, first: 1, sectors: 8 },
        { type: 0x05, first: 0, sectors: 1 },
      ],
      found: ['warning partition-table-damaged'],
    },
  ])('an MBR with $name', async ({ partitions, found }) => {
    const verdict = await verdictOn(patched(new Uint8Array(MIB), 0, mbrSector(partitions)));
    expect(codes(verdict).filter((code) => found.includes(code)).length).toBeGreaterThan(0);
    expect(verdict.partitionTable?.kind).toBe('mbr');
  });

  test('a boot sector of a file system is no partition table', async () => {
    const bootSector = patched(
      new Uint8Array(MIB),
      440,
      Array.from({ length: 70 }, () => 0x41),
    );
    expect((await verdictOn(patched(bootSector, 510, [0x55, 0xaa]))).partitionTable).toBeUndefined();
  });
});

describe('an image inside an image', () => {
  test.each([
    { name: 'qcow2', nested: true },
    { name: 'fixed VHD', nested: true },
    { name: 'ISO', nested: false },
  ])('a qcow2 whose guest bytes are a $name', async ({ name, nested }) => {
    const disk = new Uint8Array(MIB);
    const footer = patched(new Uint8Array(512), 0, Buffer.from('conectix'));
    const guests: Readonly<Record<string, Uint8Array>> = {
      qcow2: patched(disk, 0, (await asQcow2(disk)).subarray(0, 512)),
      'fixed VHD': patched(disk, -512, footer),
      ISO: withIso(disk, 512),
    };
    const verdict = await verdictOn(await asQcow2(guests[name] ?? disk, '-c'));
    expect(codes(verdict)).toEqual(nested ? ['unsafe nested-format'] : []);
    expect(verdict.contents?.kind).toBe(nested ? undefined : 'iso9660');
  });
});

async function hugeQcow2(size: string): Promise<Uint8Array> {
  const qemuImg = await requireQemuImg();
  return inScratchFolder(async (folder) => {
    const path = join(folder, 'huge');
    await run(qemuImg, ['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=2M', path, size]);
    return readBytesOf(path);
  });
}

describe('size bombs', () => {
  test.each([
    { size: '1G', found: [] },
    { size: '20T', found: ['warning size-bomb-virtual'] },
    { size: '100T', found: ['unsafe size-bomb-virtual'] },
  ])('an empty qcow2 of $size', async ({ size, found }) => {
    expect(codes(await verdictOn(await hugeQcow2(size)))).toEqual(found);
  });

  test('the cap is the caller’s', async () => {
    const verdict = await verdictOn(await hugeQcow2('1G'), { limits: { maxVirtualSize: 2 ** 20 } });
    expect(codes(verdict)).toEqual(['unsafe size-bomb-virtual']);
  });

  test('a disk of 1 TiB whose every block is the same compressed one', async () => {
    const image = await asQcow2(new Uint8Array(2 * MIB).fill(0x41), '-c', '-o', 'cluster_size=2M');
    const view = new DataView(image.buffer);
    const l1Table = Number(view.getBigUint64(40));
    const l2Table = Number(view.getBigUint64(l1Table) & 0x00fffffffffffe00n);
    view.setBigUint64(24, 2n ** 40n);
    view.setUint32(36, 2);
    view.setBigUint64(l1Table + 8, view.getBigUint64(l1Table));
    for (let at = 8; at < 2 * MIB; at += 8) view.setBigUint64(l2Table + at, view.getBigUint64(l2Table));
    expect(codes(await verdictOn(image))).toEqual(['unsafe size-bomb-ratio', 'warning size-bomb-virtual']);
  });
});
