import { describe, expect, test } from 'vitest';
import { recordedFile } from '../../../test/write-recorder.ts';
import { rawEditor } from './edit.ts';

const START = Uint8Array.from({ length: 2048 }, (_, i) => i % 251);

describe('resize', () => {
  test.each([
    ['grows with zeros', 4096, 'refuse', 'off'],
    ['grows with written zeros', 5000, 'refuse', 'full'],
    ['shrinks when it may', 512, 'allow', 'off'],
  ] as const)('%s', async (_name, virtualSize, shrink, preallocation) => {
    const file = await recordedFile(START);
    await rawEditor.resize?.(file, { virtualSize, shrink, preallocation });
    const expected = new Uint8Array(virtualSize);
    expected.set(START.subarray(0, virtualSize));
    expect(file.bytes()).toEqual(expected);
  });

  test.each([
    ['a smaller size that was not asked for', 512, 'refuse', 'off', 'out_of_bounds'],
    ['preallocation when shrinking', 512, 'allow', 'full', 'out_of_bounds'],
    ['tables, of which there are none', 4096, 'allow', 'metadata', 'unsupported'],
  ] as const)('refuses %s', async (...[, virtualSize, shrink, preallocation, code]) => {
    const file = await recordedFile(START);
    await expect(rawEditor.resize?.(file, { virtualSize, shrink, preallocation })).rejects.toMatchObject({ code });
    expect(file.calls).toEqual([]);
  });
});
