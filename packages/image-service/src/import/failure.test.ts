import { ImageError } from '@diskmorph/disk-image';
import { expect, test } from 'vitest';
import { CatalogError } from '../catalog/errors.ts';
import { StagingError } from '../staging/errors.ts';
import { StoreError } from '../store/store.ts';
import { ImportError } from './errors.ts';
import { describeFailure, isPassingFailure } from './failure.ts';
import { DISK_FORMAT_NAMES, diskFormatOf, readerOf } from './format-table.ts';

const system = (code: string): Error => Object.assign(new Error(`${code}: /secret/path`), { code });

test.each([
  { error: new ImageError('corrupt', 'bad table'), expected: { code: 'corrupt', message: 'bad table' } },
  {
    error: new ImageError('io', 'Cannot read /secret/path: no space', { cause: system('ENOSPC') }),
    expected: { code: 'io', message: 'The disk of the work directory is full' },
  },
  {
    error: new ImageError('io', 'Cannot read /secret/path'),
    expected: { code: 'io', message: 'Reading or writing in the work directory failed (unknown error)' },
  },
  { error: system('EIO'), expected: { code: 'io', message: 'Reading or writing in the work directory failed (EIO)' } },
  { error: new ImportError('format_mismatch', 'm'), expected: { code: 'format_mismatch', message: 'm' } },
  { error: new StagingError('insufficient_space', 'm'), expected: { code: 'insufficient_space', message: 'm' } },
  { error: new StoreError('io', 'm'), expected: { code: 'io', message: 'm' } },
  { error: new CatalogError('conflict', 'm'), expected: { code: 'conflict', message: 'm' } },
  {
    error: new TypeError('/secret/path'),
    expected: {
      code: 'internal',
      message: 'An internal error stopped the import; the log of the service has the details',
    },
  },
])('S17: $error is kept as $expected.code', ({ error, expected }) => {
  expect(describeFailure(error)).toEqual(expected);
});

test.each([
  { error: system('EBUSY'), passing: true },
  { error: new ImageError('io', 'm', { cause: system('EMFILE') }), passing: true },
  { error: new StoreError('io', 'm', system('ESTALE')), passing: true },
  { error: new CatalogError('conflict', 'm'), passing: true },
  { error: system('ENOSPC'), passing: false },
  { error: new ImageError('corrupt', 'm'), passing: false },
  { error: new ImportError('conflict', 'm'), passing: false },
  { error: 'text', passing: false },
])('retries are not blind: $error', ({ error, passing }) => {
  expect(isPassingFailure(error)).toBe(passing);
});

test('S11: the one table of names', () => {
  expect(Object.fromEntries(DISK_FORMAT_NAMES.map((name) => [name, readerOf(name)]))).toEqual({
    raw: 'raw',
    gpt: 'raw',
    qcow2: 'qcow2',
    vmdk: 'vmdk',
    vhd: 'vhd',
    vhdx: 'vhdx',
    vdi: 'vdi',
    ploop: 'parallels',
    iso: undefined,
    ami: undefined,
    ari: undefined,
    aki: undefined,
  });
  expect(['raw', 'parallels', 'qed'].map(diskFormatOf)).toEqual(['raw', 'ploop', 'qed']);
  expect(readerOf('constructor')).toBeUndefined();
});
