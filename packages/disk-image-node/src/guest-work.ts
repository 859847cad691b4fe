import type { ConversionPlan, DiskImage, UnitEncoder } from '@diskmorph/disk-image';

/** Guest bytes that a job handles, by what it does with them. All counts are bytes. */
export interface GuestWork {
  readonly read?: number;
  /** Of what is read: what is stored compressed. */
  readonly inflated?: number;
  readonly written?: number;
  /** Of what is written: what is to be compressed. */
  readonly deflated?: number;
  readonly digested?: number;
  /** True when the bytes go from file to file within the system, one at a time into each file. */
  readonly unseen?: boolean;
}

/** As many bytes are copied from file to file in the time that one processor needs for the work; roughly. */
export function costInCopiedBytes(work: GuestWork): number {
  const { read = 0, inflated = 0, written = 0, deflated = 0, digested = 0 } = work;
  return read / 2 + inflated * 4 + written / 2 + deflated * 12 + digested * 2;
}

/** What reading everything that the images store takes; their tables are read, not their data. */
export async function readingWork(...images: readonly DiskImage[]): Promise<GuestWork & { readonly read: number }> {
  let read = 0;
  let inflated = 0;
  for (const image of images) {
    for await (const extent of image.extents({ offset: 0, length: image.virtualSize })) {
      if (extent.state !== 'data') continue;
      read += extent.length;
      if (extent.compressed) inflated += extent.length;
    }
  }
  return { read, inflated };
}

/** What the conversion takes; `encoders` are those of its targets. */
export function copyingWork(
  plan: ConversionPlan,
  { digest, encoders }: { readonly digest: boolean; readonly encoders: readonly (UnitEncoder | undefined)[] },
): GuestWork {
  const { dataBytes, compressedBytes } = plan.source;
  const compressing = encoders.filter((encoder) => encoder !== undefined && encoder.maxStoredLength > 0);
  return {
    read: dataBytes,
    inflated: compressedBytes,
    written: dataBytes * plan.targets.length,
    deflated: dataBytes * compressing.length,
    digested: digest ? dataBytes : 0,
    ...(plan.unseen === undefined ? {} : { unseen: plan.unseen }),
  };
}
