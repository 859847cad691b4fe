import type { ByteSink } from '../bytes/byte-source.ts';
import type { Codecs } from '../bytes/codecs.ts';
import { assert } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { Format, GivenOptions } from '../image/format.ts';
import type { TargetFile, TargetLayout, UnitEncoder } from '../image/target.ts';
import { appends } from '../image/target.ts';
import type { ConversionResult } from './convert.ts';
import { convert } from './convert.ts';
import { inlineLanes } from './digest.ts';
import type { TargetRequest } from './plan.ts';
import { planConversion } from './plan.ts';
import type { ProgressListener } from './progress.ts';
import { memoryRunSpool } from './run-spool.ts';
import type { ZeroRule } from './zero-rule.ts';

/** What to convert within one thread. */
export interface ImageConversion {
  readonly source: DiskImage;
  readonly target: Format;
  readonly options?: GivenOptions;
  readonly fileName: string;
  /** The image that the target is to stand on. */
  readonly over?: TargetRequest['over'];
  readonly zeroRule?: ZeroRule;
  readonly codecs: Codecs;
  /** Opens the sink of each file of the target; the caller closes them. */
  readonly sinkOf: (file: TargetFile) => ByteSink | Promise<ByteSink>;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** Converts within this thread. The result is not read back; the caller may. */
export async function convertImage(request: ImageConversion): Promise<ConversionResult> {
  const { source, target: format, codecs, fileName, over, zeroRule } = request;
  const common = {
    codecs,
    shared: false,
    now: () => performance.now(),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
    ...(request.onProgress === undefined ? {} : { onProgress: request.onProgress }),
  };
  const targets = [{ format, options: request.options ?? {}, fileName, ...(over === undefined ? {} : { over }) }];
  const rule = zeroRule === undefined ? {} : { zeroRule };
  const { plan, map } = await planConversion({ ...common, source, targets, ...rule });
  const layout = plan.targets[0]?.layout;
  assert(layout !== undefined, 'what was asked for is planned');
  const sinks: ByteSink[] = [];
  for (const file of layout.files) sinks.push(await request.sinkOf(file));
  const target = {
    format,
    sinks,
    spool: memoryRunSpool(),
    encoder: encoderOf(format, layout, codecs),
    ...(over === undefined ? {} : { base: over.base }),
  };
  const lanes = inlineLanes({ source, targets: [target], codecs });
  return convert(plan, { ...common, map, lanes, targets: [target], digest: true });
}

/** The encoder that a layout needs; undefined when it stores bytes as they are. */
export function encoderOf(format: Format, layout: TargetLayout, codecs: Codecs): UnitEncoder | undefined {
  return appends(layout) ? format.writer?.encoder(layout, codecs) : undefined;
}
