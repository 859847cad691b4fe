import { beforeAll, expect, test } from 'vitest';
import { golden, makeGoldens, patched } from '../../../test/goldens.ts';
import { memorySource } from '../../bytes/byte-source.ts';
import { qcow } from './qcow.ts';

let image: Uint8Array;
let backed: Uint8Array;
beforeAll(async () => {
  const goldens = await makeGoldens('qcow', 'qcow-backing');
  image = golden(goldens, 'qcow');
  backed = golden(goldens, 'qcow-backing');
});

test('the backing file is named, never opened', async () => {
  const { info } = await qcow.examine(memorySource(backed));
  expect(info.backing).toEqual({ kind: 'backing', name: '/etc/hostname' });
});

test.each([
  { name: 'an unknown encryption', at: 39, patch: [7], codes: ['encrypted'], encryption: 'method 7' },
  { name: 'clusters of 2^99 bytes', at: 32, patch: [99], codes: ['header-inconsistent'] },
  { name: 'a disk of petabytes', at: 24, patch: [0, 4], codes: ['size-bomb-table', 'table-outside-file'] },
  { name: 'an L1 table beyond the file', at: 45, patch: [1], codes: ['table-outside-file'] },
  { name: 'an L2 table beyond the file', at: 48, patch: [0, 1], codes: ['table-outside-file'] },
])('$name: $codes', async ({ at, patch, codes, encryption }) => {
  const { info, findings } = await qcow.examine(memorySource(patched(image, at, patch)));
  expect(findings.map(({ code }) => code)).toEqual(codes);
  expect(info.encryption).toBe(encryption);
});

test.each([
  { name: 'version 2', at: 7, patch: [2], code: 'wrong_format' },
  { name: 'a name of megabytes', at: 17, patch: [0x10], code: 'corrupt' },
  { name: 'a name beyond the file', at: 12, patch: [1], code: 'truncated' },
])('$name is refused: $code', async ({ at, patch, code }) => {
  await expect(qcow.examine(memorySource(patched(backed, at, patch)))).rejects.toMatchObject({ code });
});
