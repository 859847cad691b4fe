import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ImageError } from '@diskmorph/disk-image';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ImageRecord } from '../catalog/image.ts';
import { newImageRecord } from '../catalog/image.ts';
import type { JsonObject } from '../flow/json.ts';
import type { AnyStep, StepContext } from '../flow/step.ts';
import { hashThreads } from '../staging/hash.ts';
import { openStaging } from '../staging/staging.ts';
import { UNSET_WARNING, warnOnce } from './convert.ts';
import type { ToolConversion } from './image-tools.ts';
import { flowRegistry } from './registry.ts';
import type { ImportParts } from './stage-context.ts';

const TASK = '11111111-1111-4111-8111-111111111111';
const IMAGE = '22222222-2222-4222-8222-222222222222';
const INSTANCE = '33333333-3333-4333-8333-333333333333';

let dir: string;
let source: string;
let conversions: ToolConversion[];
let logged: string[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'diskmorph-registry-'));
  source = join(dir, 'a disk');
  await writeFile(source, 'source');
  conversions = [];
  logged = [];
});
afterEach(() => rm(dir, { recursive: true, force: true }));

interface Given {
  readonly conversionFormat?: string;
  readonly diskFormat?: string;
  readonly convertFails?: true;
}

/** The one task of the flow `convert`, in an installation whose work directory is `dir`. */
function convertTask(given: Given): AnyStep {
  const image: ImageRecord = newImageRecord(
    { id: IMAGE, diskFormat: given.diskFormat ?? 'raw', containerFormat: 'bare' },
    0,
  );
  const tools = {
    readable: ['raw', 'qcow2', 'vmdk'],
    forecast: async () => ({ virtualSize: 6, spaceBytes: 6, leastBytes: 0 }),
    convert: async (conversion: ToolConversion) => {
      conversions.push(conversion);
      await writeFile(conversion.target.path, 'converted');
      if (given.convertFails) throw new ImageError('corrupt', 'bad table');
      return { contentId: 'id', virtualSize: 6, resumedFromBytes: 0 };
    },
  };
  const parts = {
    tools,
    staging: openStaging({ workDir: dir, instanceId: INSTANCE, marginBytes: 0, hashing: hashThreads() }),
    settings: { conversionFormat: given.conversionFormat, targetOptions: { qcow2: { compression: 'zstd' } } },
  } as unknown as ImportParts;
  const imageRepo = { get: async () => image } as unknown as ImportParts['catalog']['images'];
  const registry = flowRegistry(
    parts,
    warnOnce((message) => logged.push(message)),
  );
  const flow = registry.get('convert')?.getFlow({ taskId: TASK, taskType: 'import', imageRepo });
  const [step, ...others] = flow?.steps ?? [];
  if (step === undefined || others.length > 0) throw new Error('the flow has one task');
  return step;
}

const context: StepContext = {
  jobId: TASK,
  epoch: 1,
  attempt: 1,
  signal: new AbortController().signal,
  report: () => {},
  warn: () => {},
};
const scratch = (): string => join(dir, `diskmorph-${INSTANCE}`, TASK);

test('the task is named after its type and id', () => {
  expect(convertTask({}).name).toBe(`import-Convert-${TASK}`);
});

test.each([
  { name: 'a path', written: (path: string) => path },
  { name: 'a file: URL', written: (path: string) => pathToFileURL(path).href },
])('converts $name of the declared format to <image id>.converted in the work directory', async ({ written }) => {
  const task = convertTask({ conversionFormat: 'qcow2', diskFormat: 'vmdk' });
  const result = await task.execute({ image_id: IMAGE, file_path: written(source) }, context);
  const target = join(scratch(), `${IMAGE}.converted`);
  expect(result).toMatchObject({ file_path: target, converted: true, disk_format: 'qcow2', container_format: 'bare' });
  expect(conversions).toEqual([
    {
      source: { path: source, format: 'vmdk' },
      target: { path: target, format: 'qcow2', options: { compression: 'zstd' } },
    },
  ]);
  expect(await readFile(source, 'utf8')).toBe('source');
});

test('unset option: warns once however often it runs, converts nothing', async () => {
  const task = convertTask({});
  const input: JsonObject = { image_id: IMAGE, file_path: source };
  for (let run = 0; run < 2; run++) {
    expect(await task.execute(input, context)).toMatchObject({
      file_path: source,
      converted: false,
      conversion_note: 'not converted: conversion_format is not set',
    });
  }
  expect([logged, conversions]).toEqual([[UNSET_WARNING], []]);
});

test('revert removes the result, again and when there is none, and leaves the source', async () => {
  const task = convertTask({ conversionFormat: 'qcow2' });
  const input: JsonObject = { image_id: IMAGE, file_path: source };
  await task.revert?.(input, { kind: 'interrupted' }, context);
  const output = await task.execute(input, context);
  for (let run = 0; run < 2; run++) await task.revert?.(input, { kind: 'finished', output }, context);
  expect(await readdir(scratch())).toEqual([]);
  expect(await readFile(source, 'utf8')).toBe('source');
});

test('a failed conversion: the error is its own, its partial output goes with the revert', async () => {
  const task = convertTask({ conversionFormat: 'qcow2', convertFails: true });
  const input: JsonObject = { image_id: IMAGE, file_path: source };
  await expect(task.execute(input, context)).rejects.toMatchObject({ code: 'corrupt', message: 'bad table' });
  const failure = { code: 'corrupt', message: 'bad table' };
  await task.revert?.(input, { kind: 'failed', failure }, context);
  expect(await readdir(scratch())).toEqual([]);
});

test.each([
  { name: 'a path that leads elsewhere by its id', input: { image_id: '../../x', file_path: '/x' }, code: 'bad_id' },
  { name: 'a remote file', input: { image_id: IMAGE, file_path: 'file://host/x' }, code: 'bad_source' },
])('S19: $name is refused', async ({ input, code }) => {
  const task = convertTask({ conversionFormat: 'qcow2' });
  await expect(task.execute(input, context)).rejects.toMatchObject({ code });
  expect(conversions).toEqual([]);
});
