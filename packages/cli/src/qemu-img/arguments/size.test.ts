import { expect, test } from 'vitest';
import { sizeText } from '../text/size-text.ts';
import { parseByteCount } from './size.ts';

test.each([
  ['1k', 1024n],
  ['1K', 1024n],
  ['1.5G', 1610612736n],
  ['0x10', 16n],
  ['123b', 123n],
  ['1.k', 1024n],
  [' 5', 5n],
  ['+5', 5n],
  ['7E', 8070450532247928832n],
  ['8E', 'too-large'],
  ['1e3', 'malformed'],
  ['.5k', 'malformed'],
  ['5KiB', 'malformed'],
  ['1.5', 'malformed'],
  ['1kb', 'malformed'],
  ['10X', 'malformed'],
  ['', 'malformed'],
  ['-5', 'malformed'],
])('the size %j is %s', (text, bytes) => {
  expect(parseByteCount(text)).toBe(bytes);
});

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '0.977 KiB'],
  [1152, '1.12 KiB'],
  [1408, '1.38 KiB'],
  [196608, '192 KiB'],
  [1417216, '1.35 MiB'],
  [1023488, '1e+03 KiB'],
  [1024 ** 3, '1 GiB'],
])('%d bytes are shown as %s', (bytes, text) => {
  expect(sizeText(bytes)).toBe(text);
});
