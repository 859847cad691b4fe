import { beforeAll, expect, test } from 'vitest';
import { golden, makeGoldens, patched } from '../../../test/goldens.ts';
import { memorySource } from '../../bytes/byte-source.ts';
import { qed } from './qed.ts';

let image: Uint8Array;
let backed: Uint8Array;
beforeAll(async () => {
  const goldens = await makeGoldens('qed', 'qed-backing');
  image = golden(goldens, 'qed');
  backed = golden(goldens, 'qed-backing');
});

test('the backing file is named, never opened', async () => {
  const { info, findings } = await qed.examine(memorySource(backed));
  expect(info.backing).toEqual({ kind: 'backing', name: '/etc/hostname', format: 'raw' });
  expect(findings.map(({ code }) => code)).toEqual(['backing-file']);
});

test.each([
  { name: 'an image that needs a check', at: 16, patch: [2], codes: ['dirty'] },
  { name: 'a feature of the future', at: 17, patch: [1], codes: ['unknown-feature'] },
  { name: 'clusters of no size', at: 4, patch: [0, 0, 0, 0], codes: ['header-inconsistent'] },
  { name: 'a disk too large for its tables', at: 54, patch: [1], codes: ['header-inconsistent'] },
  { name: 'an L1 table beyond the file', at: 44, patch: [1], codes: ['table-outside-file'] },
  { name: 'an L2 table beyond the file', at: 65536, patch: [0, 0, 0, 1], codes: ['table-outside-file'] },
])('$name: $codes', async ({ at, patch, codes }) => {
  const { findings } = await qed.examine(memorySource(patched(image, at, patch)));
  expect(findings.map(({ code }) => code)).toEqual(codes);
});

test.each([
  { name: 'a name of megabytes', at: 60, patch: [0, 0, 0x10], code: 'corrupt' },
  { name: 'a name beyond the file', at: 56, patch: [0, 0, 0x10], code: 'truncated' },
])('$name is refused: $code', async ({ at, patch, code }) => {
  await expect(qed.examine(memorySource(patched(backed, at, patch)))).rejects.toMatchObject({ code });
});
