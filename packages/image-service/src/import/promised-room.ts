import type { Catalog } from '../catalog/repositories.ts';
import type { ConversionForecast } from './image-tools.ts';

/** How many bytes a result has: certainly, and at most as far as that can be told. */
export interface ResultBytes {
  readonly atLeast: number;
  readonly atMost: number;
}

/** A result whose size is known. */
export function exactly(bytes: number): ResultBytes {
  return { atLeast: bytes, atMost: bytes };
}

/** A result that is still to be made. */
export function forecastBytes({ leastBytes, spaceBytes }: ConversionForecast): ResultBytes {
  return { atLeast: leastBytes, atMost: Math.max(leastBytes, spaceBytes) };
}

/** For what an image needs room in stores: one result for each store. */
export interface WantedRoom {
  /** Without these the work fails. */
  readonly needed: readonly ResultBytes[];
  /** These are stored where there is room. */
  readonly hopedFor?: readonly ResultBytes[];
  /** Bytes in stores that the image gives up for them; 0 when absent. */
  readonly givenUp?: number;
}

/** What several stores get: each of them must be filled, or at least one. */
export function roomFor(results: readonly ResultBytes[], allMustSucceed: boolean): WantedRoom {
  if (allMustSucceed) return { needed: results };
  const [smallest, ...others] = results.toSorted((one, other) => one.atLeast - other.atLeast);
  return { needed: smallest === undefined ? [] : [smallest], hopedFor: others };
}

/**
 * Promises an image the room that it may need, instead of what was promised to it before: as much of that as the limits of
 * its project leave. Throws `over_quota` when what is needed is certainly too much; what may fit is never refused.
 */
export async function promiseRoom(
  { reservations }: Pick<Catalog, 'reservations'>,
  imageId: string,
  { needed, hopedFor = [], givenUp = 0 }: WantedRoom,
): Promise<void> {
  const certain = needed.reduce((sum, { atLeast }) => sum + atLeast, 0);
  const possible = [...needed, ...hopedFor].reduce((sum, { atMost }) => sum + atMost, 0);
  await reservations.promise(imageId, {
    kind: 'storedBytes',
    atLeast: Math.max(0, certain - givenUp),
    wished: Math.max(0, possible - givenUp),
  });
}
