/** Images of formats that no tool of today writes, made by hand from a guest disk. */
import { deflateSync } from 'node:zlib';

/** A cloop image in blocks of `blockSize`; the guest is padded to whole blocks. */
export function cloopOf(guest: Uint8Array, blockSize: number): Uint8Array<ArrayBuffer> {
  const count = Math.ceil(guest.length / blockSize);
  const blocks = Array.from({ length: count }, (_, i) => {
    const block = new Uint8Array(blockSize);
    block.set(guest.subarray(i * blockSize, (i + 1) * blockSize));
    return deflateSync(block);
  });
  const head = Buffer.alloc(136 + (count + 1) * 8);
  head.write('#!/bin/sh\n#V2.0 Format\n');
  head.writeUInt32BE(blockSize, 128);
  head.writeUInt32BE(count, 132);
  let offset = head.length;
  for (let i = 0; i <= count; i++) {
    head.writeBigUInt64BE(BigInt(offset), 136 + i * 8);
    offset += blocks[i]?.length ?? 0;
  }
  return Uint8Array.from(Buffer.concat([head, ...blocks]));
}

const SECTOR = 512;

/** A growing redolog of Bochs with extents of `extentSize`, stored last extent first. Sectors of zeros are not written. */
export function bochsOf(guest: Uint8Array, extentSize: number): Uint8Array<ArrayBuffer> {
  const entries = Math.ceil(guest.length / extentSize);
  const bitmapSize = extentSize / SECTOR / 8;
  const bitmapBytes = Math.ceil(bitmapSize / SECTOR) * SECTOR;
  const head = Buffer.alloc(SECTOR + entries * 4, 0xff);
  head.fill(0, 0, SECTOR);
  head.write('Bochs Virtual HD Image', 0);
  head.write('Redolog', 32);
  head.write('Growing', 48);
  [0x20000, SECTOR, entries, bitmapSize, extentSize].forEach((value, i) => head.writeUInt32LE(value, 64 + i * 4));
  head.writeBigUInt64LE(BigInt(guest.length), 88);
  const extents: Uint8Array[] = [];
  for (let index = entries - 1; index >= 0; index--) {
    const part = guest.subarray(index * extentSize, (index + 1) * extentSize);
    if (part.every((byte) => byte === 0)) continue;
    head.writeUInt32LE(extents.length, SECTOR + index * 4);
    const extent = new Uint8Array(bitmapBytes + extentSize);
    extent.set(part, bitmapBytes);
    for (let sector = 0; sector * SECTOR < part.length; sector++) {
      const isZero = part.subarray(sector * SECTOR, (sector + 1) * SECTOR).every((byte) => byte === 0);
      if (!isZero) extent[sector >> 3] = (extent[sector >> 3] ?? 0) | (1 << (sector & 7));
    }
    extents.push(extent);
  }
  return Uint8Array.from(Buffer.concat([head, ...extents]));
}

/** The same Parallels image with the older magic, whose table counts sectors. */
export function olderParallels(image: Uint8Array): Uint8Array<ArrayBuffer> {
  const older = Buffer.from(image);
  older.write('WithoutFreeSpace');
  const blockSectors = older.readUInt32LE(28);
  const entries = older.readUInt32LE(32);
  for (let at = 64; at < 64 + entries * 4; at += 4) older.writeUInt32LE(older.readUInt32LE(at) * blockSectors, at);
  return Uint8Array.from(older);
}

/** How a chunk of a UDIF image is stored. */
export interface UdifChunk {
  readonly type: number;
  readonly guest: Uint8Array;
  readonly stored: Uint8Array;
}

/** The disk in chunks of `chunkBytes`: all zeros as zero or ignored ones, the others as `pack` says. */
export function udifChunks(
  guest: Uint8Array,
  chunkBytes: number,
  pack: (part: Uint8Array, index: number) => Omit<UdifChunk, 'guest'>,
): UdifChunk[] {
  return Array.from({ length: Math.ceil(guest.length / chunkBytes) }, (_, index) => {
    const part = guest.subarray(index * chunkBytes, (index + 1) * chunkBytes);
    const isZero = part.every((byte) => byte === 0);
    const empty = { type: index % 2 === 0 ? 0 : 2, stored: new Uint8Array(0) };
    return { guest: part, ...(isZero ? empty : pack(part, index)) };
  });
}

function blockTable(first: number, chunks: readonly UdifChunk[], offset: number): Buffer {
  const table = Buffer.alloc(204 + (chunks.length + 1) * 40);
  table.write('mish');
  table.writeUInt32BE(1, 4);
  table.writeBigUInt64BE(BigInt(first), 8);
  const sectors = chunks.reduce((sum, { guest }) => sum + guest.length / SECTOR, 0);
  table.writeBigUInt64BE(BigInt(sectors), 16);
  table.writeUInt32BE(chunks.length + 1, 200);
  let sector = 0;
  let at = offset;
  [...chunks, undefined].forEach((chunk, i) => {
    const entry = 204 + i * 40;
    table.writeUInt32BE(chunk === undefined ? 0xffffffff : chunk.type, entry);
    table.writeBigUInt64BE(BigInt(sector), entry + 8);
    table.writeBigUInt64BE(BigInt((chunk?.guest.length ?? 0) / SECTOR), entry + 16);
    table.writeBigUInt64BE(BigInt(at), entry + 24);
    table.writeBigUInt64BE(BigInt(chunk?.stored.length ?? 0), entry + 32);
    sector += (chunk?.guest.length ?? 0) / SECTOR;
    at += chunk?.stored.length ?? 0;
  });
  return table;
}

function propertyListOf(tables: readonly Buffer[]): Buffer {
  const entries = tables.map(
    (table, i) =>
      `<dict><key>Attributes</key><string>0x0050</string><key>CFName</key><string>part ${i}</string>` +
      `<key>Data</key><data>\n${(table.toString('base64').match(/.{1,60}/g) ?? []).join('\n\t\t\t\t')}\n</data>` +
      `<key>ID</key><string>${i}</string></dict>`,
  );
  const doctype =
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">';
  return Buffer.from(
    `<?xml version="1.0" encoding="UTF-8"?>\n${doctype}\n<plist version="1.0"><dict><key>resource-fork</key><dict>` +
      `<key>plst</key><array/><key>blkx</key><array>${entries.join('\n')}</array></dict></dict></plist>\n`,
  );
}

function resourceForkOf(tables: readonly Buffer[]): Buffer {
  const data = tables.map((table) => Buffer.concat([Buffer.from(Uint32Array.of(table.length).buffer).swap32(), table]));
  const map = Buffer.alloc(28 + 2 + 8 + tables.length * 12);
  map.writeUInt16BE(28, 24);
  map.writeUInt16BE(0, 28);
  map.write('blkx', 30);
  map.writeUInt16BE(tables.length - 1, 34);
  map.writeUInt16BE(10, 36);
  let at = 0;
  data.forEach((piece, i) => {
    map.writeUInt16BE(i, 38 + i * 12);
    map.writeUInt16BE(0xffff, 40 + i * 12);
    map.writeUInt32BE(at, 42 + i * 12);
    at += piece.length;
  });
  const header = Buffer.alloc(256);
  [256, 256 + at, at, map.length].forEach((value, i) => header.writeUInt32BE(value, i * 4));
  return Buffer.concat([header, ...data, map]);
}

/** A UDIF image of the chunks, in two block tables, with a property list or a resource fork. */
export function udifOf(chunks: readonly UdifChunk[], kind: 'property list' | 'resource fork'): Uint8Array<ArrayBuffer> {
  const half = Math.ceil(chunks.length / 2);
  const [first, second] = [chunks.slice(0, half), chunks.slice(half)];
  const size = (list: readonly UdifChunk[], of: 'guest' | 'stored'): number =>
    list.reduce((sum, chunk) => sum + chunk[of].length, 0);
  const tables = [blockTable(0, first, 0), blockTable(size(first, 'guest') / SECTOR, second, size(first, 'stored'))];
  const data = Buffer.concat(chunks.map(({ stored }) => stored));
  const map = kind === 'property list' ? propertyListOf(tables) : resourceForkOf(tables);
  const trailer = Buffer.alloc(SECTOR);
  trailer.write('koly');
  trailer.writeUInt32BE(4, 4);
  trailer.writeUInt32BE(SECTOR, 8);
  trailer.writeBigUInt64BE(BigInt(data.length), 32);
  const at = kind === 'property list' ? 216 : 40;
  trailer.writeBigUInt64BE(BigInt(data.length), at);
  trailer.writeBigUInt64BE(BigInt(map.length), at + 8);
  trailer.writeUInt32BE(1, 56);
  trailer.writeUInt32BE(1, 60);
  trailer.writeUInt32BE(1, 488);
  trailer.writeBigUInt64BE(BigInt(size(chunks, 'guest') / SECTOR), 492);
  return Uint8Array.from(Buffer.concat([data, map, trailer]));
}
