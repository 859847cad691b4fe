import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const SOURCE = join(import.meta.dirname, '../src');
const DOCUMENT = join(import.meta.dirname, '../../../docs/findings.md');
/** The rooms that make findings. */
const ROOMS = ['formats', 'image', 'inspect'];
/** Error codes of one word that are also written `code: '...'`; a finding of one word stands in the document anyway. */
const ERROR_CODES: ReadonlySet<string> = new Set(['corrupt', 'truncated', 'unsupported', 'unsafe', 'io', 'aborted']);
const CODE_USE =
  /(?:\bcode: |\bcode = |\bfinding\(|\badd\(|\bfault\(|\bmismatch\(|\breportCorruption\([a-z]+, )'([a-z]+(?:-[a-z]+)*)'/g;

async function emittedCodes(): Promise<readonly string[]> {
  const codes = new Set<string>();
  for (const room of ROOMS) {
    for (const name of await readdir(join(SOURCE, room), { recursive: true })) {
      if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
      const text = await readFile(join(SOURCE, room, name), 'utf8');
      for (const [, code] of text.matchAll(CODE_USE)) if (code !== undefined && !ERROR_CODES.has(code)) codes.add(code);
    }
  }
  return [...codes].sort();
}

test('docs/findings.md explains every code that is emitted', async () => {
  const document = await readFile(DOCUMENT, 'utf8');
  const codes = await emittedCodes();
  expect(codes).toContain('size-bomb-virtual');
  expect(codes.filter((code) => !document.includes(`\`${code}\``))).toEqual([]);
});
