import { beforeAll, expect, test } from 'vitest';
import { golden, makeGoldens, patched } from '../../../test/goldens.ts';
import { memorySource } from '../../bytes/byte-source.ts';
import { ascii } from '../../bytes/numbers.ts';
import { MAGIC } from './header.ts';
import { luks } from './luks.ts';

const HEADER_SIZE = 16384;
const SEGMENT = { type: 'crypt', offset: '32768', size: 'dynamic', encryption: 'aes-xts-plain64' };

/** A LUKS2 volume of 64 KiB with that JSON area. */
function luks2(json: string, headerSize: number = HEADER_SIZE): Uint8Array {
  const bytes = patched(new Uint8Array(65536), 0, MAGIC);
  const view = new DataView(bytes.buffer);
  view.setUint16(6, 2);
  view.setBigUint64(8, BigInt(headerSize));
  return patched(patched(bytes, 72, ascii('sha256')), 4096, ascii(json));
}

let volume: Uint8Array;
beforeAll(async () => {
  volume = golden(await makeGoldens('luks'), 'luks');
});

test('version 1: cipher, payload and key slots', async () => {
  const { info } = await luks.examine(memorySource(volume));
  expect(info).toMatchObject({ subformat: 'LUKS1', encryption: 'aes-xts-plain64', details: { activeKeySlots: 1 } });
});

test.each([
  { name: 'to the end of the file', segment: SEGMENT, size: 32768, codes: ['encrypted'] },
  { name: 'of a given size', segment: { ...SEGMENT, size: '16384' }, size: 16384, codes: ['encrypted'] },
  {
    name: 'longer than the file',
    segment: { ...SEGMENT, size: '65536' },
    size: 65536,
    codes: ['encrypted', 'truncated'],
  },
])('version 2: a segment $name', async ({ segment, size, codes }) => {
  const { info, findings } = await luks.examine(memorySource(luks2(JSON.stringify({ segments: { '0': segment } }))));
  expect(info).toMatchObject({ subformat: 'LUKS2', encryption: 'aes-xts-plain64', virtualSize: size });
  expect(findings.map(({ code }) => code)).toEqual(codes);
});

test.each([
  { name: 'no JSON', make: () => luks2('{'), code: 'corrupt' },
  { name: 'no segments', make: () => luks2('{"segments":{}}'), code: 'corrupt' },
  {
    name: 'a negative offset',
    make: () => luks2('{"segments":{"0":{"offset":"-1","encryption":"x"}}}'),
    code: 'corrupt',
  },
  { name: 'a header of gigabytes', make: () => luks2('{}', 2 ** 31), code: 'corrupt' },
  { name: 'a header beyond the file', make: () => luks2('{}', 131072), code: 'truncated' },
  { name: 'version 3', make: () => patched(volume, 7, [3]), code: 'unsupported' },
  { name: 'a payload cut off', make: () => volume.subarray(0, 300), code: 'truncated' },
])('$name is refused: $code', async ({ make, code }) => {
  await expect(luks.examine(memorySource(make()))).rejects.toMatchObject({ code });
});
