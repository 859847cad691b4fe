import type { Format, JsonValue } from '@diskmorph/disk-image';
import { alignUp } from '@diskmorph/disk-image';
import type { OptionSpec } from '../arguments/getopt.ts';
import type { CommandLine } from '../arguments/given-options.ts';
import { outputFormat, readCommandLine } from '../arguments/given-options.ts';
import { requireByteCount } from '../arguments/size.ts';
import { asksForHelp, readCreateOptions } from '../create/given-create-options.ts';
import { optionHelp } from '../create/option-table.ts';
import { writerRequest } from '../create/writer-options.ts';
import { Failure, reasonOf } from '../failure.ts';
import { findDriver } from '../format-names.ts';
import type { KnownImage } from '../image/image-source.ts';
import { blockStatus, countedSize } from '../image/block-status.ts';
import { examineImage, knownImage } from '../image/image-source.ts';
import type { Layer } from '../image/layers.ts';
import { closeLayers, openLayers } from '../image/layers.ts';
import { readImageName } from '../image/location.ts';
import { chooseSnapshot, readSnapshotChoice } from '../image/snapshot-choice.ts';
import { jsonText } from '../text/json-text.ts';
import { out } from '../text/output.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'f', takes: 'value' },
  { short: 'O', takes: 'value' },
  { short: 'o', takes: 'value' },
  { short: 'l', takes: 'value' },
  { long: 'output', takes: 'value' },
  { long: 'size', takes: 'value' },
  { long: 'image-opts', takes: 'nothing' },
  { short: 'U', long: 'force-share', takes: 'nothing' },
];

const SECTOR_SIZE = 512;

/** `qemu-img measure`: the size that the file of a new image needs. */
export async function measure(args: readonly string[]): Promise<number> {
  const line = readCommandLine('measure', args, OPTIONS);
  const driver = line.value('O') ?? 'raw';
  const output = outputFormat(line);
  if (asksForHelp(line.values('o'))) {
    out(optionHelp(driver, 'format'));
    return 0;
  }
  const size = givenSize(line);
  const format = findDriver(driver);
  const source = size === undefined ? await openSource(line) : undefined;
  try {
    if (format === undefined) throw new Failure(`Unknown file format '${driver}'`);
    if (format.writer === undefined) throw new Failure(`Block driver '${driver}' does not support size measurement`);
    const sizes = await measureTarget(format, line, source ?? emptySource(size ?? 0));
    show(sizes, output);
    return 0;
  } finally {
    await closeLayers(source?.layers ?? []);
  }
}

function givenSize(line: CommandLine): number | undefined {
  const given = line.value('size');
  if (given !== undefined && line.operands.length > 0) {
    throw new Failure('--size N cannot be used together with a filename.');
  }
  if (given === undefined && line.operands.length !== 1) {
    throw new Failure('Either --size N or one filename must be specified.');
  }
  return given === undefined ? undefined : requireByteCount(given, 'image size');
}

/** What is to be stored. */
interface Measured {
  readonly virtualSize: number;
  /** None for a disk of zeros. */
  readonly layers: readonly Layer[];
  /** Bytes that copies of the persistent bitmaps need; undefined where there can be none. */
  readonly bitmapBytes: ((clusterSize: number) => number) | undefined;
}

function emptySource(size: number): Measured {
  return { virtualSize: alignUp(size, SECTOR_SIZE), layers: [], bitmapBytes: undefined };
}

async function openSource(line: CommandLine): Promise<Measured> {
  const reading = { asOptions: line.has('image-opts'), format: line.value('f') };
  const image: KnownImage = await knownImage(readImageName(line.operands[0] ?? '', reading));
  const { info } = await examineImage(image);
  const snapshot = line.value('l');
  const id = snapshot === undefined ? undefined : chooseSnapshot(info.snapshots, readSnapshotChoice(snapshot));
  const layers = await openLayers(image, id);
  const holdsBitmaps = info.format === 'qcow2' && info.details['version'] === 3;
  const virtualSize = countedSize(layers);
  return {
    virtualSize,
    layers,
    bitmapBytes: holdsBitmaps
      ? (clusterSize) => bitmapBytes(info.details['bitmaps'], virtualSize, clusterSize)
      : undefined,
  };
}

const DIRECTORY_ENTRY_SIZE = 24;

/** Clusters of bitmap data, of their tables and of their directory. qcow2 specification, "Bitmaps". */
function bitmapBytes(listed: JsonValue | undefined, virtualSize: number, clusterSize: number): number {
  if (!Array.isArray(listed) || listed.length === 0) return 0;
  let bytes = 0;
  let directory = 0;
  for (const entry of listed as readonly { readonly [key: string]: JsonValue }[]) {
    const bits = Math.ceil(virtualSize / Number(entry['granularity']));
    const clusters = Math.ceil(bits / 8 / clusterSize);
    bytes += clusters * clusterSize + alignUp(clusters * 8, clusterSize);
    directory += alignUp(DIRECTORY_ENTRY_SIZE + new TextEncoder().encode(String(entry['name'])).length, 8);
  }
  return bytes + alignUp(directory, clusterSize);
}

interface Sizes {
  readonly required: number;
  readonly fullyAllocated: number;
  readonly bitmaps: number | undefined;
}

async function measureTarget(format: Format, line: CommandLine, source: Measured): Promise<Sizes> {
  const { writer } = format;
  const driver = line.value('O') ?? 'raw';
  const values = readCreateOptions(driver, line.values('o'), '');
  const { options } = writerRequest(format, values, { compressed: false, refuse: toFailure });
  if (writer === undefined) throw new Error('assertion failed: the format has a writer');
  try {
    const layout = writer.layout({
      virtualSize: source.virtualSize,
      options,
      fileName: 'measured',
      seed: new Uint8Array(16),
    });
    const units = await dataUnits(source, layout.unitSize);
    const { required, fullyAllocated } = writer.measure(layout, units);
    const holdsBitmaps = driver === 'qcow2' && values.get('compat') !== '0.10' && values.get('compat') !== 'v2';
    return {
      // A raw file has its whole length, whatever space it takes.
      required: driver === 'raw' ? fullyAllocated : required,
      fullyAllocated,
      bitmaps: holdsBitmaps ? source.bitmapBytes?.(layout.unitSize) : undefined,
    };
  } catch (error) {
    throw new Failure(reasonOf(error));
  }
}

function toFailure(message: string): Failure {
  return new Failure(message);
}

/** Units of the target that the source stores something of. */
async function dataUnits({ layers, virtualSize }: Measured, unitSize: number): Promise<number> {
  let count = 0;
  let counted = -1;
  if (layers.length === 0) return count;
  for await (const { start, length, data, zero } of blockStatus(layers, { offset: 0, length: virtualSize })) {
    if (!data || zero) continue;
    const first = Math.max(counted + 1, Math.floor(start / unitSize));
    const last = Math.floor((start + length - 1) / unitSize);
    count += Math.max(0, last - first + 1);
    counted = Math.max(counted, last);
  }
  return count;
}

function show({ required, fullyAllocated, bitmaps }: Sizes, output: 'human' | 'json'): void {
  if (output === 'json') {
    out(`${jsonText({ bitmaps, required, 'fully-allocated': fullyAllocated })}\n`);
    return;
  }
  out(`required size: ${required}\nfully allocated size: ${fullyAllocated}\n`);
  if (bitmaps !== undefined) out(`bitmaps size: ${bitmaps}\n`);
}
