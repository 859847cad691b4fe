import { once } from 'node:events';
import type { Style } from './style.ts';
import { streamStyle } from './style.ts';

/** Where the program speaks: results on one stream, progress and errors on the other. */
export interface Terminal {
  /** Writes result text; settles when more may be written, so that long results take no memory. */
  out(text: string): Promise<void>;
  /** One JSON document as the result. */
  json(value: unknown): Promise<void>;
  /** Writes a message for people. */
  note(text: string): void;
  readonly outStyle: Style;
  readonly noteStyle: Style;
  /** Do notes appear on a terminal, so that a line can be redrawn? */
  readonly notesAreLive: boolean;
  /** Can it show characters beyond ASCII? */
  readonly unicode: boolean;
  /** Columns of the terminal, 80 where there is none. */
  width(): number;
  /** True once something was written as result. */
  hasResult(): boolean;
}

const DEFAULT_WIDTH = 80;

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const { stdout, stderr, env } = process;
  let written = false;
  const out = async (text: string): Promise<void> => {
    written = true;
    if (!stdout.write(text)) await once(stdout, 'drain');
  };
  return {
    out,
    json: (value) => out(`${JSON.stringify(value, undefined, 2)}\n`),
    note: (text) => void stderr.write(text),
    outStyle: streamStyle(stdout, env),
    noteStyle: streamStyle(stderr, env),
    notesAreLive: stderr.isTTY && env['TERM'] !== 'dumb',
    unicode: /utf-?8/i.test(env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || ''),
    width: () => stderr.columns || stdout.columns || DEFAULT_WIDTH,
    hasResult: () => written,
  };
}
