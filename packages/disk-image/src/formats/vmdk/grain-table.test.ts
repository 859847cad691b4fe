import { describe, expect, test } from 'vitest';
import type { ByteSource } from '../../bytes/byte-source.ts';
import { memorySource } from '../../bytes/byte-source.ts';
import { grainTables } from './grain-table.ts';
import type { SparseHeader } from './sparse-header.ts';
import { encodeSparseHeader, parseSparseHeader } from './sparse-header.ts';

const TABLE_SIZE = 2048;
const TABLES = 400;
const FIRST_TABLE = 8 * 512;

/** A file of tables, one behind the other; every entry of table i is i. */
function tableFile(): { readonly source: ByteSource; readonly header: SparseHeader; readonly reads: number[] } {
  const bytes = new Uint8Array(FIRST_TABLE + TABLES * TABLE_SIZE);
  const entries = new Uint32Array(bytes.buffer, FIRST_TABLE);
  for (let i = 0; i < entries.length; i++) entries[i] = Math.floor(i / 512);
  const reads: number[] = [];
  const plain = memorySource(bytes);
  const source: ByteSource = {
    ...plain,
    async read(offset, into) {
      reads.push(into.length);
      await plain.read(offset, into);
    },
  };
  const header = encodeSparseHeader({
    version: 1,
    capacity: TABLES * 512 * 65_536,
    grainSize: 65_536,
    descriptorOffset: 512,
    descriptorSize: 512,
    redundantDirectoryOffset: 0,
    directoryOffset: 1024,
    overhead: 65_536,
    features: [],
  });
  return { source, header: parseSparseHeader(header, 0), reads };
}

const inOrder = Uint32Array.from({ length: TABLES }, (_, i) => (FIRST_TABLE + i * TABLE_SIZE) / 512);

describe('grain tables', () => {
  test('that follow each other are read many at a time', async () => {
    const { source, header, reads } = tableFile();
    const tables = grainTables(source, header, inOrder);
    for (let i = 0; i < TABLES; i++) expect((await tables.entries(i))?.every((entry) => entry === i)).toBe(true);
    expect(reads).toEqual([...Array.from({ length: 12 }, () => 32 * TABLE_SIZE), 16 * TABLE_SIZE]);
  });

  test('that lie anywhere are read one at a time', async () => {
    const { source, header, reads } = tableFile();
    const tables = grainTables(source, header, inOrder.slice().reverse());
    for (const i of [0, 399, 7, 8]) expect((await tables.entries(i))?.[0]).toBe(399 - i);
    expect(reads).toEqual([TABLE_SIZE, TABLE_SIZE, TABLE_SIZE, TABLE_SIZE]);
  });

  test('are forgotten when others are read, and read again', async () => {
    const { source, header, reads } = tableFile();
    const tables = grainTables(source, header, inOrder);
    for (let i = 0; i < TABLES; i += 32) await tables.entries(i);
    const before = reads.length;
    expect((await tables.entries(399))?.[0]).toBe(399);
    expect(reads).toHaveLength(before);
    expect((await tables.entries(5))?.[0]).toBe(5);
    expect(reads).toHaveLength(before + 1);
  });

  test('that the directory does not list are absent', async () => {
    const { source, header, reads } = tableFile();
    expect(await grainTables(source, header, new Uint32Array(TABLES)).entries(3)).toBeUndefined();
    expect(reads).toEqual([]);
  });

  test.each([
    { name: 'beyond the end', sector: (FIRST_TABLE + TABLES * TABLE_SIZE) / 512 - 3, code: 'truncated' },
    { name: 'over the descriptor', sector: 1, code: 'corrupt' },
  ])('$name are refused', async ({ sector, code }) => {
    const { source, header } = tableFile();
    await expect(grainTables(source, header, Uint32Array.of(sector)).entries(0)).rejects.toMatchObject({ code });
  });

  test('behind the last whole one are not read along', async () => {
    const { source, header, reads } = tableFile();
    const cut = { ...source, size: source.size - 1 };
    expect((await grainTables(cut, header, inOrder).entries(398))?.[0]).toBe(398);
    expect(reads).toEqual([TABLE_SIZE]);
  });
});
