import type { Codecs } from '../bytes/codecs.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { GuestWriter } from '../image/editor.ts';
import type { ChangePorts } from './unit-walk.ts';
import { forEachWantedRange, readPadded } from './unit-walk.ts';

/** What a layer stands on, and what it is to stand on. */
export interface RebaseRequest {
  /** The layer alone: its map says what it lacks. */
  readonly layer: DiskImage;
  /** The same with everything below it: what its guest sees. */
  readonly chain: DiskImage;
  /** The new image below with everything below that; undefined for none. */
  readonly nextBacking: DiskImage | undefined;
  readonly writer: GuestWriter;
  readonly codecs: Codecs;
}

/**
 * Writes into the layer every unit in which the new backing image would show something else, so that the guest's bytes
 * stay when the layer names it. Returns when that is on stable storage; naming it is the caller's next step. The guest
 * sees the same at every moment. Throws as reading and writing do.
 */
export async function rebaseLayer(request: RebaseRequest, ports: ChangePorts): Promise<void> {
  const { layer, chain, nextBacking, writer } = request;
  let seen = new Uint8Array(0);
  let next = new Uint8Array(0);
  await forEachWantedRange(layer, writer, { ...ports, wanted: isAbsent }, async ({ offset, length }) => {
    if (seen.length < length) {
      seen = new Uint8Array(length);
      next = new Uint8Array(length);
    }
    await readPadded(chain, offset, seen.subarray(0, length), ports.signal);
    await readPadded(nextBacking, offset, next.subarray(0, length), ports.signal);
    await writeDifferent(request, { offset, length, seen, next });
  });
  await writer.finish();
}

function isAbsent(state: string): boolean {
  return state === 'absent';
}

interface Compared {
  readonly offset: number;
  readonly length: number;
  readonly seen: Uint8Array;
  readonly next: Uint8Array;
}

async function writeDifferent(request: RebaseRequest, compared: Compared): Promise<void> {
  const { writer, codecs } = request;
  const step = Math.max(writer.unitSize, MIN_STEP);
  for (let at = 0; at < compared.length; at += step) {
    const end = Math.min(compared.length, at + step);
    const unit = compared.seen.subarray(at, end);
    if (isSame(unit, compared.next.subarray(at, end))) continue;
    if (codecs.isZero(unit)) await writer.zero(compared.offset + at, end - at);
    else await writer.write(compared.offset + at, unit);
  }
}

const MIN_STEP = 4096;

function isSame(first: Uint8Array, second: Uint8Array): boolean {
  for (let i = 0; i < first.length; i++) if (first[i] !== second[i]) return false;
  return true;
}
