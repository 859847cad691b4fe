import type { ByteSource } from '../bytes/byte-source.ts';
import { ImageError } from '../errors.ts';
import type { DiskImage } from './disk-image.ts';
import type { Extent, GuestRange } from './extent.ts';
import { normalizeExtents } from './extent.ts';
import type { OpenContext } from './format.ts';
import type { ImageReference } from './reference.ts';
import { describeReference } from './reference.ts';

/** The most layers that one image may stand on, itself included. */
export const MAX_CHAIN_DEPTH: number = 64;

/** Opens one layer; given by the caller so that this room needs to know no format. */
export type LayerOpener = (
  source: ByteSource,
  formatHint: string | undefined,
  context: OpenContext,
) => Promise<DiskImage>;

/**
 * `top` with everything below it: each layer's `absent` extents are answered by its backing image, and by zeros below
 * the last or beyond the end of a shorter one. Every reference goes through the context's policy.
 * Throws `unsafe` (denied), `corrupt` (a loop, too deep, not the image that was meant). Closes `top` when it fails.
 */
export async function openChain(top: DiskImage, context: OpenContext, openLayer: LayerOpener): Promise<DiskImage> {
  const layers = [top];
  try {
    await followBacking(layers, context, openLayer);
  } catch (error) {
    await closeAll(layers);
    throw error;
  }
  return layers.length === 1 ? top : chainedImage(layers);
}

async function followBacking(layers: DiskImage[], context: OpenContext, openLayer: LayerOpener): Promise<void> {
  const seen = new Set<string>();
  let policy = context.references;
  for (let reference = layers[0]?.info.backing; reference !== undefined; reference = layers.at(-1)?.info.backing) {
    if (layers.length >= MAX_CHAIN_DEPTH) throw brokenChain(`is more than ${MAX_CHAIN_DEPTH} images deep`, reference);
    const granted = await policy(reference);
    if (seen.has(granted.identity)) {
      await granted.source.close();
      throw brokenChain('comes back to itself', reference);
    }
    seen.add(granted.identity);
    policy = granted.references;
    const layer = await openLayer(granted.source, reference.format, { codecs: context.codecs, references: policy });
    layers.push(layer);
    checkLink(reference, layer);
  }
}

/** A parent that was changed after its child was made, or another disk of that name, would give wrong bytes. */
function checkLink(reference: ImageReference, layer: DiskImage): void {
  const { linkIds } = reference;
  if (linkIds === undefined || (layer.info.linkId !== undefined && linkIds.includes(layer.info.linkId))) return;
  throw brokenChain('meets a file that is not the one meant, or was changed since', reference);
}

function brokenChain(how: string, reference: ImageReference): ImageError {
  return new ImageError('corrupt', `The chain of backing images ${how}, at ${describeReference(reference)}`, {
    structure: 'backing chain',
  });
}

async function closeAll(layers: readonly DiskImage[]): Promise<void> {
  await Promise.all(layers.map((layer) => layer.close()));
}

/** `top` with everything that `below` shows below it, whatever its header names; closing it closes both. */
export function stackedImage(top: DiskImage, below: DiskImage): DiskImage {
  return chainedImage([top, below]);
}

function chainedImage(layers: readonly DiskImage[]): DiskImage {
  const top = layers[0];
  if (top === undefined) throw new Error('assertion failed: a chain has a top layer');
  return {
    info: top.info,
    virtualSize: top.virtualSize,
    extents: (range) => normalizeExtents(range, chainExtents(layers, 0, range)),
    async read(offset, into, signal) {
      await readChain(layers, { offset, length: into.length }, into, signal);
    },
    close: () => closeAll(layers),
  };
}

async function* chainExtents(layers: readonly DiskImage[], depth: number, range: GuestRange): AsyncGenerator<Extent> {
  const layer = layers[depth];
  const inside =
    layer === undefined ? 0 : Math.max(0, Math.min(range.offset + range.length, layer.virtualSize) - range.offset);
  if (layer !== undefined && inside > 0) {
    for await (const extent of layer.extents({ offset: range.offset, length: inside })) {
      if (extent.state === 'absent' && depth + 1 < layers.length) yield* chainExtents(layers, depth + 1, extent);
      else yield { ...extent, depth };
    }
  }
  if (inside < range.length) {
    yield {
      offset: range.offset + inside,
      length: range.length - inside,
      state: 'absent',
      compressed: false,
      depth: Math.min(depth, layers.length - 1),
    };
  }
}

async function readChain(
  layers: readonly DiskImage[],
  range: GuestRange,
  into: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  for await (const extent of normalizeExtents(range, chainExtents(layers, 0, range))) {
    const part = into.subarray(extent.offset - range.offset, extent.offset - range.offset + extent.length);
    const layer = layers[extent.depth ?? 0];
    if (extent.state === 'data' && layer !== undefined) await layer.read(extent.offset, part, signal);
    else part.fill(0);
  }
}
