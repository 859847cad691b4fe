import { expect, test } from 'vitest';
import { UsageError } from '../arguments/command.ts';
import { chooseProgressMode, progressView } from './progress-view.ts';
import type { ShownProgress } from './progress-line.ts';
import { plain } from './style.ts';
import type { Terminal } from './terminal.ts';

function fakeTerminal(live: boolean): { readonly terminal: Terminal; readonly notes: string[] } {
  const notes: string[] = [];
  const terminal: Terminal = {
    out: async () => {},
    json: async () => {},
    note: (text) => void notes.push(text),
    outStyle: plain,
    noteStyle: plain,
    notesAreLive: live,
    unicode: false,
    width: () => 80,
    hasResult: () => false,
  };
  return { terminal, notes };
}

function at(percent: number, title: string = 'Copying'): ShownProgress {
  return { title, bytesDone: percent, bytesTotal: 100, percent };
}

test('a bar is redrawn at most ten times a second and taken off the screen at the end', () => {
  const { terminal, notes } = fakeTerminal(true);
  let clock = 0;
  const view = progressView('bar', terminal, () => clock);
  for (clock = 0; clock <= 1000; clock += 10) view.show(at(clock / 10), {});
  expect(notes).toHaveLength(11);
  expect(notes.every((note) => note.startsWith('\r\u001b[2K') && !note.includes('\n'))).toBe(true);
  view.close();
  view.close();
  view.show(at(100), {});
  expect(notes.slice(11)).toEqual(['\r\u001b[2K']);
});

test('a log gets a line each ten percent, each five seconds, and never two within a second', () => {
  const { terminal, notes } = fakeTerminal(false);
  let clock = 0;
  const view = progressView('lines', terminal, () => clock);
  const report = (ms: number, percent: number, title?: string): void => {
    clock = ms;
    view.show(at(percent, title), {});
  };
  report(500, 40);
  report(1500, 41);
  report(2000, 80);
  report(2600, 81);
  report(7600, 82);
  report(9000, 5, 'Verifying');
  report(9500, 95, 'Verifying');
  report(10_000, 95, 'Verifying');
  expect(notes.map((note) => note.split(',')[0])).toEqual([
    'Copying: 41%',
    'Copying: 81%',
    'Copying: 82%',
    'Verifying: 95%',
  ]);
});

test.each([
  { wanted: undefined, quiet: false, live: true, mode: 'bar' },
  { wanted: undefined, quiet: false, live: false, mode: 'lines' },
  { wanted: 'auto', quiet: true, live: true, mode: 'none' },
  { wanted: 'json', quiet: true, live: true, mode: 'json' },
  { wanted: 'none', quiet: false, live: true, mode: 'none' },
])('--progress $wanted, quiet $quiet, terminal $live: $mode', ({ wanted, quiet, live, mode }) => {
  expect(chooseProgressMode(wanted, quiet, fakeTerminal(live).terminal)).toBe(mode);
});

test('an unknown mode is refused', () => {
  expect(() => chooseProgressMode('loud', false, fakeTerminal(true).terminal)).toThrow(UsageError);
});
