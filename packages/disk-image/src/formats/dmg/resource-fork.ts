import { ascii } from '../../bytes/numbers.ts';
import { dmgError } from './dmg-error.ts';

const HEADER_BYTES = 16;
/** In the map: a copy of the header, two handles and attributes, before the offset of the type list. */
const TYPE_LIST_OFFSET_AT = 24;
const TYPE_BYTES = 8;
const REFERENCE_BYTES = 12;
/** A partition has one. */
const MAX_TABLES = 4096;
const BLOCK_TABLE_TYPE = ascii('blkx');

/**
 * The block tables (resources of the type `blkx`) of a resource fork, as images without a property list have it. Throws
 * `corrupt`. Inside Macintosh: More Macintosh Toolbox, "Resource Manager", "Resource File Format".
 */
export function blockTablesOfResourceFork(bytes: Uint8Array): readonly Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const check = (at: number, length: number): void => {
    if (at + length > bytes.length)
      throw dmgError('corrupt', 'The resource fork points outside itself', 'resource fork');
  };
  check(0, HEADER_BYTES);
  const dataAt = view.getUint32(0);
  const mapAt = view.getUint32(4);
  check(mapAt, TYPE_LIST_OFFSET_AT + 2);
  const typesAt = mapAt + view.getUint16(mapAt + TYPE_LIST_OFFSET_AT);
  check(typesAt, 2);
  const typeCount = (view.getUint16(typesAt) + 1) % 65_536;
  const tables: Uint8Array[] = [];
  for (let type = 0; type < typeCount; type++) {
    const at = typesAt + 2 + type * TYPE_BYTES;
    check(at, TYPE_BYTES);
    if (!BLOCK_TABLE_TYPE.every((byte, i) => bytes[at + i] === byte)) continue;
    const references = { at: typesAt + view.getUint16(at + 6), count: view.getUint16(at + 4) + 1 };
    check(references.at, references.count * REFERENCE_BYTES);
    if (tables.length + references.count > MAX_TABLES) {
      throw dmgError('unsafe', `The resource fork has over ${MAX_TABLES} block tables`, 'resource fork');
    }
    for (let i = 0; i < references.count; i++) {
      // The low 24 bits are an offset into the data, the high ones attributes.
      const start = dataAt + (view.getUint32(references.at + i * REFERENCE_BYTES + 4) & 0xffffff);
      check(start, 4);
      const length = view.getUint32(start);
      check(start + 4, length);
      tables.push(bytes.subarray(start + 4, start + 4 + length));
    }
  }
  if (tables.length > 0) return tables;
  throw dmgError('corrupt', 'The resource fork has no block tables', 'resource fork');
}
