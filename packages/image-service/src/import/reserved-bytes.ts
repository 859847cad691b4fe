import type { Catalog } from '../catalog/repositories.ts';
import type { PromiseWish } from '../catalog/quota.ts';

/** For which image bytes come, and what they count as. */
export interface ReservedFor {
  readonly imageId: string;
  readonly kind: PromiseWish['kind'];
  /** How many there will be, where that is known. */
  readonly expectedBytes?: number;
}

/** Of a stream whose length nobody knows, so much is promised ahead at a time. */
const STEP_BYTES = 64 * 1024 * 1024;

/**
 * Lets bytes pass as far as the limits of the image's project allow: they are promised to the image before they pass, so that
 * no two streams count on the same room. Throws `over_quota`.
 */
export async function* reservedBytes(
  catalog: Pick<Catalog, 'reservations'>,
  bytes: AsyncIterable<Uint8Array>,
  { imageId, kind, expectedBytes = 0 }: ReservedFor,
): AsyncGenerator<Uint8Array> {
  const { reservations } = catalog;
  let granted = await reservations.promise(imageId, { kind, atLeast: expectedBytes, wished: expectedBytes });
  let passed = 0;
  for await (const piece of bytes) {
    passed += piece.length;
    if (passed > granted) {
      granted = await reservations.promise(imageId, { kind, atLeast: passed, wished: passed + STEP_BYTES });
    }
    yield piece;
  }
  if (Number.isFinite(granted) && passed < granted) {
    await reservations.promise(imageId, { kind, atLeast: passed, wished: passed });
  }
}
