import { alignUp } from '../bytes/numbers.ts';
import { ImageError } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { Format, GivenOptions, LayoutRequest } from '../image/format.ts';
import type { ImageReference } from '../image/reference.ts';
import type { TargetLayout } from '../image/target.ts';
import type { MapSummary, WorkMap } from './work-map.ts';
import { countDataChunks, emptyWorkMap, markData, markRange } from './work-map.ts';
import type { ZeroRule } from './zero-rule.ts';
import { zeroRuns } from './zero-rule.ts';

/** One image that a conversion is to make. */
export interface TargetRequest {
  readonly format: Format;
  readonly options: GivenOptions;
  /** The final name of the image's own file, without directories. */
  readonly fileName: string;
  /** The guest disk of the target is a whole multiple of this many bytes, the bytes after the source's end zeros. */
  readonly sizeMultiple?: number;
  /** The image that the target is to stand on; what the two have in common is not stored. */
  readonly over?: { readonly reference: ImageReference; readonly base: DiskImage };
}

/** What a conversion is to make of its source. */
export interface PlanRequest {
  readonly source: DiskImage;
  readonly targets: readonly TargetRequest[];
  /** True when lanes on several threads will share the map. */
  readonly shared: boolean;
  readonly zeroRule?: ZeroRule;
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
  readonly zeroRule?: ZeroRule;
  /** True when the lanes may copy bytes that they have not looked at. */
  readonly unseen?: boolean;
}

/** A plan with the map that goes with it, which lanes share. */
export interface PlannedConversion {
  readonly plan: ConversionPlan;
  readonly map: WorkMap;
}

/** What will be written for one target. */
export interface TargetPlan {
  readonly options: GivenOptions;
  readonly fileName: string;
  /** Bytes of guest disk that the format is asked for; `layout.virtualSize` is what it makes of them. */
  readonly virtualSize: number;
  readonly backing?: ImageReference;
  readonly layout: TargetLayout;
}

/** Identifiers in a layout made before the content is known; `finalLayout` replaces them. */
const PROVISIONAL_SEED: Uint8Array = new Uint8Array(16);

/** Plans a conversion: reads the source's tables, writes nothing. Throws for options that the target does not have. */
export async function planConversion(request: PlanRequest): Promise<PlannedConversion> {
  const { source, zeroRule } = request;
  const targets = request.targets.map((target) => planTarget(target, source.virtualSize));
  const zeroUnit = zeroRule === undefined ? 1 : zeroRuns(zeroRule).unit;
  const unitSize = Math.max(zeroUnit, ...targets.map((target) => target.layout.unitSize));
  const map = emptyWorkMap(source.virtualSize, unitSize, request.shared);
  const summary = await markData(map, source, request.signal);
  for (const { over } of request.targets) if (over !== undefined) await markData(map, over.base, request.signal);
  if (zeroRule?.least === 0 && source.virtualSize > 0) markRange(map, 0, source.virtualSize);
  const dataChunks = countDataChunks(map);
  refuseFixedOverlays(targets, dataChunks);
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
    ...(zeroRule === undefined ? {} : { zeroRule }),
  };
  return { plan, map };
}

function planTarget(request: TargetRequest, sourceSize: number): TargetPlan {
  const { format, options, fileName, sizeMultiple = 1, over } = request;
  const virtualSize = alignUp(sourceSize, sizeMultiple);
  const common = { options, fileName, virtualSize, ...(over === undefined ? {} : { backing: over.reference }) };
  return { ...common, layout: layoutFor(format, { ...common, seed: PROVISIONAL_SEED }) };
}

/** Where every byte has its place already, nothing shows the backing image's. */
function refuseFixedOverlays(targets: readonly TargetPlan[], dataChunks: number): void {
  const fixed = ({ layout }: TargetPlan): boolean => layout.files.some((file) => file.placement === 'fixed');
  if (dataChunks === 0 || !targets.some((target) => target.backing !== undefined && fixed(target))) return;
  throw new ImageError('unsupported', 'Data cannot be written into a preallocated image with a backing image');
}

/** The target's layout with identifiers derived from `seed`; nothing else changes. */
export function finalLayout(format: Format, target: TargetPlan, seed: Uint8Array): TargetLayout {
  const { layout: _provisional, ...request } = target;
  return layoutFor(format, { ...request, seed });
}

function layoutFor(target: Format, request: LayoutRequest): TargetLayout {
  if (target.writer === undefined) {
    throw new ImageError('unsupported', `${target.name} images can be recognised but not written`);
  }
  const layout = target.writer.layout(request);
  if (request.backing === undefined || layout.overlay !== undefined) return layout;
  throw new ImageError('unsupported', `New ${target.name} images cannot stand on a backing image`);
}
