import { readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ImportFailedError } from '../src/import/service.ts';
import { failureOf, TO_QCOW2, TO_RAW, withTools } from './import-cases.ts';
import type { World } from './world.ts';
import { diskBytes, isoBytes, makeWorld, qemuImg } from './world.ts';

let world: World;
let raw: string;
let qcow2: string;

beforeEach(async () => {
  world = await makeWorld();
  raw = world.path('disk.raw');
  qcow2 = world.path('disk.qcow2');
  await writeFile(raw, diskBytes());
  await qemuImg('convert', '-O', 'qcow2', '-c', raw, qcow2);
});
afterEach(() => world.remove());

async function brokenInspector(): Promise<never> {
  throw new Error('bug');
}

describe('statement 9: ISO images', () => {
  test('declared iso and detected iso: kept', async () => {
    await writeFile(raw, isoBytes());
    const service = await world.open({ overrides: TO_QCOW2 });
    const { image, task } = await service.import(raw, { diskFormat: 'iso' });
    expect(image).toMatchObject({ status: 'active', diskFormat: 'iso', size: 40960, virtualSize: 40960 });
    expect(task.message).toBe('not converted: an ISO image stays as it is');
    expect((await service.import(raw, { name: 'undeclared' })).image.diskFormat).toBe('iso');
  });

  test('P2: an ISO with a partition table is an ISO', async () => {
    const hybrid = isoBytes();
    hybrid.set([0x80, 0, 1, 0, 0x17, 0, 79, 0, 0, 0, 0, 0, 80, 0, 0, 0], 446);
    hybrid.set([0x55, 0xaa], 510);
    await writeFile(raw, hybrid);
    const service = await world.open({ overrides: TO_QCOW2 });
    expect((await service.import(raw, { diskFormat: 'iso' })).image).toMatchObject({
      status: 'active',
      diskFormat: 'iso',
    });
  });

  test.each(['raw', 'qcow2'])('detected iso, declared %s: refused', async (diskFormat) => {
    await writeFile(raw, isoBytes());
    const service = await world.open({ overrides: TO_RAW });
    const error = await failureOf(service.import(raw, { diskFormat }));
    expect(error).toMatchObject({ code: 'format_mismatch' });
    expect(error.message).toContain(`declared as ${diskFormat}, but the content is iso`);
  });
});

describe('statement 10: images that refer to other files or are of a type not allowed', () => {
  test.each([
    {
      name: 'backing file',
      diskFormat: 'qcow2',
      make: (path: string) => qemuImg('create', '-f', 'qcow2', '-b', raw, '-F', 'raw', path),
    },
    {
      name: 'data file',
      diskFormat: 'qcow2',
      make: (path: string) => qemuImg('create', '-f', 'qcow2', '-o', `data_file=${path}.data`, path, '1M'),
    },
    {
      name: 'foreign VMDK extent',
      diskFormat: 'vmdk',
      make: (path: string) => qemuImg('create', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', path, '1M'),
    },
  ])('$name: refused, the record unchanged, nothing stored', async ({ diskFormat, make }) => {
    const path = world.path('hostile');
    await make(path);
    const service = await world.open({ overrides: TO_RAW });
    const error = await failureOf(service.import(path, { diskFormat }));
    expect(error.code).toBe('unsafe_image');
    expect(await service.image(error.task.imageId ?? '')).toMatchObject({ status: 'queued', diskFormat, size: null });
    expect(await world.files()).toEqual([]);
  });

  test.each([
    { name: 'an allowed type', allowed: 'monolithicSparse', outcome: 'active' },
    {
      name: 'another type',
      allowed: 'streamOptimized',
      outcome: 'The VMDK create type monolithicSparse is not allowed',
    },
    { name: 'an empty list', allowed: '', outcome: 'The VMDK create type monolithicSparse is not allowed' },
  ])('VMDK: $name', async ({ allowed, outcome }) => {
    const path = world.path('disk.vmdk');
    await qemuImg('convert', '-O', 'vmdk', raw, path);
    const service = await world.open({ overrides: { ...TO_RAW, 'image_format.vmdk_allowed_types': allowed } });
    const result = await service.import(path, { diskFormat: 'vmdk' }).then(
      ({ image }) => image.status,
      (error: Error) => error.message,
    );
    expect(result).toBe(outcome);
  });
});

describe('statement 11: the content is not what was declared', () => {
  test('declared raw, content qcow2', async () => {
    const service = await world.open({ overrides: TO_RAW });
    const error = await failureOf(service.import(qcow2, { diskFormat: 'raw' }));
    expect(error.message).toBe('Image format mismatch: declared as raw, but the content is qcow2');
  });

  test('no match', async () => {
    const service = await world.open({ overrides: TO_RAW });
    expect(await failureOf(service.import(raw, { diskFormat: 'qcow2' }))).toMatchObject({ code: 'format_mismatch' });
  });

  test('several matches', async () => {
    const both = await readFile(qcow2);
    const footer = world.path('footer.vhd');
    await qemuImg('create', '-f', 'vpc', '-o', 'subformat=fixed,force_size=on', footer, '1M');
    await writeFile(qcow2, Buffer.concat([both, (await readFile(footer)).subarray(-512)]));
    const service = await world.open({ overrides: TO_RAW });
    expect(await failureOf(service.import(qcow2, { diskFormat: 'qcow2' }))).toMatchObject({ code: 'format_mismatch' });
    await expect(service.import(qcow2)).rejects.toMatchObject({ code: 'format_mismatch' });
  });

  test('an inspector that fails', async () => {
    const service = await world.open({ overrides: TO_RAW, intercept: withTools({ inspect: brokenInspector }) });
    expect(await failureOf(service.import(qcow2, { diskFormat: 'qcow2' }))).toMatchObject({ code: 'unsafe_image' });
  });

  test.each([
    { name: 'is only a warning where nothing is converted', overrides: {}, outcome: 'active' },
    { name: 'refuses a conversion all the same', overrides: TO_QCOW2, outcome: 'format_mismatch' },
  ])('require_image_format_match = false: a mismatch $name', async ({ overrides, outcome }) => {
    const relaxed = { ...overrides, 'image_format.require_image_format_match': 'false' };
    const service = await world.open({ overrides: relaxed });
    const result = await service.import(qcow2, { diskFormat: 'raw' }).then(
      ({ image }) => image.status,
      (error: ImportFailedError) => error.code,
    );
    expect(result).toBe(outcome);
  });
});

describe('statement 12: the output is detected as another format than the target', () => {
  test('a VMDK inside a qcow2 is refused', async () => {
    const inner = world.path('inner.vmdk');
    await qemuImg('convert', '-O', 'vmdk', '-o', 'subformat=streamOptimized', raw, inner);
    await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', inner, qcow2);
    const service = await world.open({ overrides: TO_RAW });
    expect(await failureOf(service.import(qcow2, { diskFormat: 'qcow2' }))).toMatchObject({ code: 'unsafe_image' });
  });

  test('also when only the second look finds it', async () => {
    const inner = world.path('inner.vmdk');
    await qemuImg('convert', '-O', 'vmdk', '-o', 'subformat=streamOptimized', raw, inner);
    await qemuImg('convert', '-f', 'raw', '-O', 'qcow2', inner, qcow2);
    const service = await world.open({
      overrides: TO_RAW,
      intercept: (parts) => ({
        ...parts,
        tools: {
          ...parts.tools,
          inspect: async (path, options) => {
            const verdict = await parts.tools.inspect(path, options);
            return options.declared === 'qcow2' ? { ...verdict, findings: [] } : verdict;
          },
        },
      }),
    });
    const error = await failureOf(service.import(qcow2, { diskFormat: 'qcow2' }));
    expect(error.message).toBe('The result of the conversion to raw is detected as vmdk');
    expect(await world.files()).toEqual([]);
  });
});

describe('limits and refusals before work starts', () => {
  test('S13: a disk above the virtual size cap is refused', async () => {
    await qemuImg('create', '-f', 'qcow2', qcow2, '8T');
    const service = await world.open({ overrides: TO_RAW });
    expect(await failureOf(service.import(qcow2, { diskFormat: 'qcow2' }))).toMatchObject({ code: 'unsafe_image' });
  });

  test('S13: an image above the size cap is refused', async () => {
    const service = await world.open({ overrides: { ...TO_QCOW2, 'DEFAULT.image_size_cap': '1000' } });
    expect(await failureOf(service.import(raw, { diskFormat: 'raw' }))).toMatchObject({ code: 'too_large' });
  });

  test('S14: work that the disk has no room for is refused before it starts', async () => {
    const service = await world.open({ overrides: { ...TO_QCOW2, 'diskmorph.free_space_margin': '900T' } });
    const error = await failureOf(service.import(raw, { diskFormat: 'raw' }));
    expect(error).toMatchObject({ code: 'insufficient_space' });
    expect(await world.files()).toEqual([]);
  });

  test.each([
    { name: 'ari means no disk image', options: { diskFormat: 'ari' }, code: 'not_convertible' },
    { name: 'ami means no disk image', options: { diskFormat: 'ami' }, code: 'not_convertible' },
    { name: 'an unknown disk_format', options: { diskFormat: '../x' }, code: 'invalid_value' },
    {
      name: 'an unknown container_format',
      options: { diskFormat: 'raw', containerFormat: 'x' },
      code: 'invalid_value',
    },
    { name: 'an unknown store', options: { diskFormat: 'raw', stores: ['c'] }, code: 'invalid_value' },
    { name: 'an unknown target', options: { diskFormat: 'raw', conversionFormat: 'vhd' }, code: 'invalid_value' },
  ])('S11, S20: $name', async ({ options, code }) => {
    const service = await world.open({ overrides: TO_QCOW2 });
    await expect(service.import(raw, options)).rejects.toMatchObject({ code });
    expect(await service.images()).toEqual([]);
    expect(await service.tasks()).toEqual([]);
  });

  test('S15: a truncated qcow2 fails as truncated or unsafe, never becomes zeros', async () => {
    await qemuImg('convert', '-O', 'qcow2', raw, qcow2);
    await truncate(qcow2, (await stat(qcow2)).size - 70_000);
    const service = await world.open({ overrides: TO_RAW });
    const error = await failureOf(service.import(qcow2, { diskFormat: 'qcow2' }));
    expect(['truncated', 'unsafe_image']).toContain(error.code);
    expect(await world.files()).toEqual([]);
  });

  test('S17: an error nobody foresaw says internal, shows no path, and is logged whole', async () => {
    const logged: string[] = [];
    const convert = async (): Promise<never> => Promise.reject(new Error(`cannot open ${world.dir}/work`));
    const service = await world.open({
      overrides: TO_QCOW2,
      intercept: withTools({ convert }),
      log: (message, error) => logged.push(`${message} ${error instanceof Error ? error.stack : ''}`),
    });
    const error = await failureOf(service.import(raw, { diskFormat: 'raw' }));
    expect(error.code).toBe('internal');
    expect(error.message).not.toContain(world.dir);
    expect(logged.join('\n')).toContain(`cannot open ${world.dir}/work`);
  });
});
