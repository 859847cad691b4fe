import { randomBytes } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { giveBack } from './byte-stream.ts';
import { filePieces } from './file-pieces.ts';

const PIECE = 512 * 1024;
const CONTENT = randomBytes(9 * PIECE + 7);
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'diskmorph-pieces-'));
  await writeFile(join(dir, 'file'), CONTENT);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const opened = (): Promise<FileHandle> => open(join(dir, 'file'));

describe('the pieces of a part of a file', () => {
  test.each([
    { offset: 0, length: CONTENT.length },
    { offset: 0, length: 1 },
    { offset: 3, length: PIECE },
    { offset: PIECE - 1, length: 4 * PIECE + 2 },
    { offset: PIECE, length: PIECE },
    { offset: CONTENT.length - 5, length: 5 },
    { offset: CONTENT.length - 5, length: 3 * PIECE },
    { offset: CONTENT.length + 1, length: 10 },
  ])('from $offset on, $length bytes', async ({ offset, length }) => {
    const pieces: Buffer[] = [];
    for await (const piece of filePieces(await opened(), { offset, length, signal: undefined })) {
      pieces.push(Buffer.from(piece));
      giveBack(piece);
    }
    expect(Buffer.concat(pieces).equals(CONTENT.subarray(offset, offset + length))).toBe(true);
  });

  test('lie in memory that was given back, and in no other twice', async () => {
    const whole = { offset: 0, length: CONTENT.length, signal: undefined };
    const reused = new Set<ArrayBufferLike>();
    for await (const piece of filePieces(await opened(), whole)) {
      reused.add(piece.buffer);
      giveBack(piece);
      giveBack(piece);
    }
    expect(reused.size).toBeLessThan(4);
    const kept = new Set<ArrayBufferLike>();
    for await (const piece of filePieces(await opened(), whole)) kept.add(piece.buffer);
    expect(kept.size).toBe(10);
  });

  test('end when they are not wanted any more, and the file is closed', async () => {
    const file = await opened();
    for await (const piece of filePieces(file, { offset: 0, length: CONTENT.length, signal: undefined })) {
      expect(piece.length).toBe(PIECE);
      break;
    }
    expect(file.fd).toBe(-1);
    const aborted = await opened();
    const reading = filePieces(aborted, { offset: 0, length: 5, signal: AbortSignal.abort(new Error('enough')) });
    await expect(reading.next()).rejects.toThrow('enough');
    expect(aborted.fd).toBe(-1);
  });
});
