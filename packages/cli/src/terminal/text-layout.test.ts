import { expect, test } from 'vitest';
import { plainText, tableLines, wrapText } from './text-layout.ts';

test.each([
  { text: 'one two three', width: 7, lines: ['one two', 'three'] },
  { text: 'incompressible a', width: 5, lines: ['incompressible', 'a'] },
  { text: '', width: 5, lines: [''] },
])('wraps "$text" at $width', ({ text, width, lines }) => {
  expect(wrapText(text, width)).toEqual(lines);
});

test('columns stand in line whatever their colours, and no line ends in spaces', () => {
  const rows = [
    ['a', { right: '1' }, 'x'],
    ['\u001b[31mbcd\u001b[39m', { right: '22' }, ''],
  ];
  expect(tableLines(rows)).toEqual(['a     1  x', '\u001b[31mbcd\u001b[39m  22']);
});

test('control characters of a file name do not reach the terminal', () => {
  expect(plainText('a\u001b[2Jb\nc\u009b')).toBe('a\\x1b[2Jb\\x0ac\\x9b');
});
