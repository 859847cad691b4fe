import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const WORKSPACE = join(import.meta.dirname, '..', '..', '..');
const UNIONS = [
  { file: 'packages/disk-image/src/errors.ts', type: 'ImageErrorCode' },
  { file: 'packages/image-service/src/import/errors.ts', type: 'ImportErrorCode' },
  { file: 'packages/image-service/src/catalog/errors.ts', type: 'CatalogErrorCode' },
  { file: 'packages/image-service/src/staging/errors.ts', type: 'StagingErrorCode' },
  { file: 'packages/image-service/src/store/store.ts', type: 'StoreErrorCode' },
];
/** What tasks say is `cancelled`. */
const NEVER_SHOWN = new Set(['aborted']);

async function textOf(path: string): Promise<string> {
  return readFile(join(WORKSPACE, path), 'utf8');
}

test.each(UNIONS)("the operators' guide says what each $type means", async ({ file, type }) => {
  const union = new RegExp(`export type ${type} =([^;]*);`).exec(await textOf(file))?.[1] ?? '';
  const codes = Array.from(union.matchAll(/'(\w+)'/g), ([, code]) => code ?? '');
  expect(codes.length).toBeGreaterThan(4);
  const guide = (await textOf('docs/admin-guide.md')).split('Codes of failed tasks')[1] ?? '';
  const explained = new Set(
    guide
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .flatMap((line) => Array.from((line.split(' | ')[0] ?? '').matchAll(/`(\w+)`/g), ([, code]) => code)),
  );
  expect(codes.filter((code) => !explained.has(code) && !NEVER_SHOWN.has(code))).toEqual([]);
});
