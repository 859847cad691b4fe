import { ImageError } from '../../errors.ts';
import type { FormatEditor, ResizeRequest, WritableImageFile } from '../../image/editor.ts';

/** Changes raw images in place: guest bytes are file bytes. */
export const rawEditor: FormatEditor = {
  resize: resizeRaw,
  async openGuest({ source, sink }) {
    return {
      virtualSize: source.size,
      unitSize: 1,
      write: (offset, bytes) => sink.write(offset, bytes),
      zero: (offset, length) => sink.zero(offset, length),
      finish: () => sink.flush(),
    };
  },
};

const ZERO_PIECE = 2 ** 20;

/** Cuts or extends the file; `full` writes the new zeros, `falloc` is for the file system that the file lies on. */
async function resizeRaw(file: WritableImageFile, request: ResizeRequest): Promise<void> {
  const { virtualSize, preallocation } = request;
  const { size } = file.source;
  if (virtualSize < size && request.shrink === 'refuse') {
    throw refuse('out_of_bounds', 'The new size is smaller, and guest bytes would be lost');
  }
  if (virtualSize < size && preallocation !== 'off') {
    throw refuse('out_of_bounds', 'Nothing can be preallocated when a disk shrinks');
  }
  if (preallocation === 'metadata' || preallocation === 'falloc') {
    throw refuse('unsupported', `Raw images have no preallocation=${preallocation}; off and full are possible`);
  }
  await file.sink.truncate(virtualSize);
  if (preallocation === 'full') {
    const zeros = new Uint8Array(ZERO_PIECE);
    for (let at = size; at < virtualSize; at += ZERO_PIECE) {
      await file.sink.write(at, zeros.subarray(0, Math.min(ZERO_PIECE, virtualSize - at)));
    }
  }
  await file.sink.flush();
}

function refuse(code: 'out_of_bounds' | 'unsupported', message: string): Error {
  return new ImageError(code, message, { format: 'raw' });
}
