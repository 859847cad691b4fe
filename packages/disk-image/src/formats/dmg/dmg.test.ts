import { expect, test } from 'vitest';
import { joined, patched } from '../../../test/goldens.ts';
import { memorySource } from '../../bytes/byte-source.ts';
import { ascii } from '../../bytes/numbers.ts';
import { dmg } from './dmg.ts';

const DATA = 4096;
const LIST = 1024;

/** An image of 1 MiB with 4096 bytes of data and a property list of 1024 bytes. */
function udif(change: (trailer: DataView) => void = () => {}): Uint8Array {
  const trailer = patched(new Uint8Array(512), 0, ascii('koly'));
  const view = new DataView(trailer.buffer);
  view.setUint32(4, 4);
  view.setUint32(8, 512);
  view.setBigUint64(32, BigInt(DATA));
  view.setUint32(56, 1);
  view.setUint32(60, 1);
  view.setBigUint64(216, BigInt(DATA));
  view.setBigUint64(224, BigInt(LIST));
  view.setBigUint64(492, 2048n);
  change(view);
  return joined(new Uint8Array(DATA + LIST), trailer);
}

test.each([
  { name: 'a whole image', make: () => udif(), codes: [] },
  {
    name: 'data beyond the trailer',
    make: () => udif((view) => view.setBigUint64(32, 2n ** 20n)),
    codes: ['truncated'],
  },
  {
    name: 'a list beyond the trailer',
    make: () => udif((view) => view.setBigUint64(216, 2n ** 20n)),
    codes: ['table-outside-file'],
  },
  {
    name: 'a list of gigabytes',
    make: () => udif((view) => view.setBigUint64(224, 2n ** 32n)),
    codes: ['size-bomb-table', 'table-outside-file'],
  },
  { name: 'one of three parts', make: () => udif((view) => view.setUint32(60, 3)), codes: ['foreign-extent'] },
  {
    name: 'a version of the future',
    make: () => udif((view) => view.setUint32(4, 5)),
    codes: ['unsupported-subformat'],
  },
  { name: 'an encrypted image', make: () => ascii('encrcdsa'), codes: ['encrypted'] },
])('$name: $codes', async ({ make, codes }) => {
  const { findings } = await dmg.examine(memorySource(make()));
  expect(findings.map(({ code }) => code)).toEqual(codes);
});

test('the disk is counted in sectors', async () => {
  expect((await dmg.examine(memorySource(udif()))).info.virtualSize).toBe(2 ** 20);
});

test.each([
  { name: 'no trailer', make: () => new Uint8Array(100), code: 'wrong_format' },
  { name: 'a disk above 2^53 bytes', make: () => udif((view) => view.setBigUint64(492, 2n ** 50n)), code: 'corrupt' },
])('$name is refused: $code', async ({ make, code }) => {
  await expect(dmg.examine(memorySource(make()))).rejects.toMatchObject({ code });
});
