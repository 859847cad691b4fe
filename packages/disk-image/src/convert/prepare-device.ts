import type { ByteSink } from '../bytes/byte-source.ts';
import { assert, ImageError } from '../errors.ts';
import type { Format } from '../image/format.ts';
import { PROBE_HEAD_SIZE, PROBE_TAIL_SIZE } from '../image/format.ts';
import type { TargetFile, TargetLayout } from '../image/target.ts';
import { allocationSize } from '../image/target.ts';
import type { TargetPlan } from './plan.ts';
import type { WorkMap } from './work-map.ts';
import { countDataUnits, nextDataChunk, nextEmptyChunk } from './work-map.ts';

/** What a device is prepared with. */
export interface DevicePorts {
  readonly sink: ByteSink;
  readonly format: Format;
  readonly map: WorkMap;
  /** Bytes of guest disk in the source. */
  readonly sourceSize: number;
}

/**
 * Makes a device ready for an image: what lies there is no image any more, and every byte that the image takes to be
 * zeros without writing it is. Does nothing to a sink that is no device. Throws `unsupported` for a layout that a device
 * cannot hold and `io`, with the sizes, for a device that is surely too small; nothing has been written then.
 */
export async function prepareDevice(target: TargetPlan, ports: DevicePorts): Promise<void> {
  const { sink, format } = ports;
  const { deviceSize } = sink;
  if (deviceSize === undefined) return;
  const { layout } = target;
  const file = layout.files[0];
  assert(file !== undefined && format.writer !== undefined, 'a planned target has a file and a writer');
  const { required, fullyAllocated } = format.writer.measure(layout, 0);
  const isFixed = file.placement === 'fixed';
  refuseLayout(layout, isFixed && fullyAllocated === deviceSize ? 'filled' : 'longer');
  const least = isFixed || required === fullyAllocated ? fullyAllocated : file.hostOffset;
  if (least > deviceSize) throw tooSmall(deviceSize, least);
  await sink.zero(0, Math.min(deviceSize, Math.max(PROBE_HEAD_SIZE, file.hostOffset)));
  const isVerbatim = isFixed && file.hostOffset === 0;
  if (!isVerbatim) await sink.zero(Math.max(0, deviceSize - PROBE_TAIL_SIZE), Math.min(deviceSize, PROBE_TAIL_SIZE));
  await sink.flush();
  if (isFixed) await zeroGaps(file, ports);
  else if (file.block !== undefined) {
    const units = countDataUnits(ports.map, allocationSize(layout));
    const end = Math.min(deviceSize, format.writer.measure(layout, units).required);
    if (end > file.hostOffset) await sink.zero(file.hostOffset, end - file.hostOffset);
  }
}

function refuseLayout(layout: TargetLayout, device: 'filled' | 'longer'): void {
  const refuse = (why: string): ImageError =>
    new ImageError('unsupported', `${layout.format}: ${why}`, { format: layout.format });
  if (layout.files.length > 1) throw refuse('an image of several files cannot be written onto a block device');
  if (layout.endsFile !== true || device === 'filled') return;
  throw refuse('the end of the image must be the end of the file, which a block device does not move');
}

function tooSmall(deviceSize: number, least: number): ImageError {
  return new ImageError('io', `The device has ${deviceSize} bytes, and the image needs ${least}: it is too small`);
}

/** Chunks that are not read are not written either: their places become zeros. */
async function zeroGaps(file: TargetFile, { sink, map, sourceSize }: DevicePorts): Promise<void> {
  const end = file.guestLength;
  if (end > sourceSize) await sink.zero(file.hostOffset + sourceSize, end - sourceSize);
  for (let chunk = 0; chunk * map.chunkSize < end;) {
    const empty = nextEmptyChunk(map, chunk);
    const data = nextDataChunk(map, empty);
    const gapEnd = data < 0 ? end : Math.min(end, data * map.chunkSize);
    const start = empty * map.chunkSize;
    if (start < gapEnd) await sink.zero(file.hostOffset + start, gapEnd - start);
    if (data < 0) return;
    chunk = data;
  }
}
