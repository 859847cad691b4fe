import { openImageFile } from '@diskmorph/disk-image-node';
import { imageFile } from '../image/image-source.ts';
import type { Layer } from '../image/layers.ts';
import { copyIntoSink } from './copy-into-sink.ts';
import { withGuestWriter } from './guest-writer.ts';

/** How far down, and how it is done. */
export interface CommitRequest {
  /** Index of the layer that is written. */
  readonly depth: number;
  readonly isZero: (bytes: Uint8Array) => boolean;
  readonly onPercent: (percent: number) => void;
}

/** Where committed bytes go. */
export interface CommitTarget {
  readonly virtualSize: number;
  readonly unitSize: number;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  zero(offset: number, length: number): Promise<void>;
}

const MIN_PIECE_SIZE = 256 * 1024;

/** Writes every unit of which a layer above the base says something into the base. */
export async function commitInto(layers: readonly Layer[], request: CommitRequest): Promise<void> {
  const top = layers[0];
  const base = layers[request.depth];
  if (top === undefined || base === undefined) throw new Error('assertion failed: there is a base');
  const shown = await openImageFile(imageFile(top.image));
  const copy = async (target: CommitTarget): Promise<void> => {
    const pieceSize = Math.max(MIN_PIECE_SIZE, target.unitSize);
    const buffer = new Uint8Array(pieceSize);
    const end = Math.min(shown.virtualSize, target.virtualSize);
    for (let offset = 0; offset < end; offset += pieceSize) {
      const length = Math.min(pieceSize, end - offset);
      await copyPiece({ shown, target, bytes: buffer.subarray(0, length), offset }, layers, request);
      request.onPercent(((offset + length) / end) * 100);
    }
  };
  try {
    if (base.image.format.name === 'raw') await copyIntoSink(base, copy);
    else await withGuestWriter(base.image, copy);
  } finally {
    await shown.close();
  }
}

interface Piece {
  readonly shown: { read(offset: number, into: Uint8Array): Promise<void> };
  readonly target: CommitTarget;
  readonly bytes: Uint8Array;
  readonly offset: number;
}

async function copyPiece(piece: Piece, layers: readonly Layer[], request: CommitRequest): Promise<void> {
  const { shown, target, bytes, offset } = piece;
  let loaded = false;
  for (let at = 0; at < bytes.length; at += target.unitSize) {
    const length = Math.min(target.unitSize, bytes.length - at);
    if (!(await isSaidAbove(layers, request.depth, { offset: offset + at, length }))) continue;
    if (!loaded) await shown.read(offset, bytes);
    loaded = true;
    const unit = bytes.subarray(at, at + length);
    if (request.isZero(unit)) await target.zero(offset + at, length);
    else await target.write(offset + at, unit);
  }
}

async function isSaidAbove(
  layers: readonly Layer[],
  depth: number,
  range: { readonly offset: number; readonly length: number },
): Promise<boolean> {
  for (const { disk } of layers.slice(0, depth)) {
    const length = Math.min(range.length, disk.virtualSize - range.offset);
    if (length <= 0) continue;
    for await (const { state } of disk.extents({ offset: range.offset, length })) if (state !== 'absent') return true;
  }
  return false;
}
