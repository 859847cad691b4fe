import type { Style } from './terminal/style.ts';
import type { Cell } from './terminal/text-layout.ts';
import { tableLines } from './terminal/text-layout.ts';

/** Names and facts in two columns under a headline. */
export function factLines(rows: readonly (readonly [name: string, fact: Cell])[], style: Style): string[] {
  return tableLines(rows.map(([name, fact]) => [`  ${style.dim(name)}`, fact]));
}
