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
