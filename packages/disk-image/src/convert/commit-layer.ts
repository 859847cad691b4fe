import type { Codecs } from '../bytes/codecs.ts';
import { ImageError } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { GuestWriter } from '../image/editor.ts';
import type { ChangePorts } from './unit-walk.ts';
import { forEachWantedRange, readPadded } from './unit-walk.ts';

/** What to write into an image below. */
export interface CommitRequest {
  /** The layer alone: its map says what it holds. */
  readonly layer: DiskImage;
  /** The same with everything below it: what its guest sees. */
  readonly chain: DiskImage;
  /** The image below, at least as large as the layer. */
  readonly base: GuestWriter;
  readonly codecs: Codecs;
}

/**
 * Writes everything that the layer holds into the image below it and returns when it is on stable storage. What the
 * layer's guest sees is the same at every moment, so a commit that was cut can be started again. Emptying the layer is
 * the caller's next step. Throws `out_of_bounds` when the image below is smaller; as reading and writing do.
 */
export async function commitLayer(request: CommitRequest, ports: ChangePorts): Promise<void> {
  const { layer, chain, base, codecs } = request;
  if (base.virtualSize < layer.virtualSize) {
    throw new ImageError(
      'out_of_bounds',
      `The backing image has ${base.virtualSize} bytes and the layer ${layer.virtualSize}; resize the backing image first`,
    );
  }
  let buffer = new Uint8Array(0);
  await forEachWantedRange(layer, base, { ...ports, wanted: isHeld }, async ({ offset, length }) => {
    if (buffer.length < length) buffer = new Uint8Array(length);
    const bytes = buffer.subarray(0, length);
    await readPadded(chain, offset, bytes, ports.signal);
    if (codecs.isZero(bytes)) await base.zero(offset, length);
    else await base.write(offset, bytes);
  });
  await base.finish();
}

function isHeld(state: string): boolean {
  return state !== 'absent';
}
