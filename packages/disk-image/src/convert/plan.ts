import { alignUp } from '../bytes/numbers.ts';
import { ImageError } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { Format, GivenOptions, LayoutRequest } from '../image/format.ts';
import type { TargetLayout } from '../image/target.ts';
import type { MapSummary, WorkMap } from './work-map.ts';
import { countDataChunks, emptyWorkMap, markData } from './work-map.ts';

/** One image that a conversion is to make. */
export interface TargetRequest {
  readonly format: Format;
  readonly options: GivenOptions;
  /** The final name of the image's own file, without directories. */
  readonly fileName: string;
  /** The guest disk of the target is a whole multiple of this many bytes, the bytes after the source's end zeros. */
  readonly sizeMultiple?: number;
}

/** What a conversion is to make of its source. */
export interface PlanRequest {
  readonly source: DiskImage;
  readonly targets: readonly TargetRequest[];
  /** True when lanes on several threads will share the map. */
  readonly shared: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Everything a conversion will do, decided before the first byte is written: plain data, to be printed or stored.
 * The bits of `map` say which chunks are read; all others are known to be empty.
 */
export interface ConversionPlan {
  readonly source: {
    readonly format: string;
    readonly subformat?: string;
    readonly virtualSize: number;
  } & MapSummary;
  /** The images to write, all from one read of the source. */
  readonly targets: readonly TargetPlan[];
  readonly chunkSize: number;
  readonly chunkCount: number;
  /** Chunks that will be read. */
  readonly dataChunks: number;
  /** Guest bytes that will be read. */
  readonly bytesToRead: number;
}

/** What will be written for one target. */
export interface TargetPlan {
  readonly options: GivenOptions;
  readonly fileName: string;
  /** Bytes of guest disk that the format is asked for; `layout.virtualSize` is what it makes of them. */
  readonly virtualSize: number;
  readonly layout: TargetLayout;
}

/** Identifiers in a layout made before the content is known; `finalLayout` replaces them. */
const PROVISIONAL_SEED: Uint8Array = new Uint8Array(16);

/** Plans a conversion: reads the source's tables, writes nothing. Throws for options that the target does not have. */
export async function planConversion(
  request: PlanRequest,
): Promise<{ readonly plan: ConversionPlan; readonly map: WorkMap }> {
  const { source } = request;
  const targets = request.targets.map(({ format, options, fileName, sizeMultiple = 1 }) => {
    const virtualSize = alignUp(source.virtualSize, sizeMultiple);
    const layout = layoutFor(format, { virtualSize, options, fileName, seed: PROVISIONAL_SEED });
    return { options, fileName, virtualSize, layout };
  });
  const unitSize = Math.max(1, ...targets.map((target) => target.layout.unitSize));
  const map = emptyWorkMap(source.virtualSize, unitSize, request.shared);
  const summary = await markData(map, source, request.signal);
  const dataChunks = countDataChunks(map);
  const subformat = source.info.subformat;
  const plan: ConversionPlan = {
    source: {
      format: source.info.format,
      ...(subformat === undefined ? {} : { subformat }),
      virtualSize: source.virtualSize,
      ...summary,
    },
    targets,
    chunkSize: map.chunkSize,
    chunkCount: map.chunkCount,
    dataChunks,
    bytesToRead: Math.min(source.virtualSize, dataChunks * map.chunkSize),
  };
  return { plan, map };
}

/** The target's layout with identifiers derived from `seed`; nothing else changes. */
export function finalLayout(format: Format, target: TargetPlan, seed: Uint8Array): TargetLayout {
  const { options, fileName, virtualSize } = target;
  return layoutFor(format, { virtualSize, options, fileName, seed });
}

function layoutFor(target: Format, request: LayoutRequest): TargetLayout {
  if (target.writer !== undefined) return target.writer.layout(request);
  throw new ImageError('unsupported', `${target.name} images can be recognised but not written`);
}
