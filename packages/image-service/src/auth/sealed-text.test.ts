import { expect, test } from 'vitest';
import { sealer } from './sealed-text.ts';

test('what is sealed is opened by whoever has the same secret', () => {
  const sealed = sealer('secret').seal('token of a caller');
  expect(sealed).not.toContain('token');
  expect(sealer('secret').open(sealed)).toBe('token of a caller');
  expect(sealer('secret').seal('token of a caller')).not.toBe(sealed);
});

test('another secret, and what was changed, open nothing', () => {
  const sealed = sealer('secret').seal('token');
  expect(sealer('other').open(sealed)).toBeUndefined();
  for (let index = 0; index < sealed.length - 1; index++) {
    const other = sealed[index] === 'A' ? 'B' : 'A';
    expect(sealer('secret').open(sealed.slice(0, index) + other + sealed.slice(index + 1))).toBeUndefined();
  }
  expect(sealer('secret').open('')).toBeUndefined();
  expect(sealer('secret').open(sealed.slice(0, 20))).toBeUndefined();
});
