import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { ByteSource, Unwrapped, WrapperKind, WrapperLimits } from '@diskmorph/disk-image';
import {
  formats,
  ImageError,
  openWrapper,
  partOfScattered,
  PROBE_HEAD_SIZE,
  PROBE_TAIL_SIZE,
  readBytes,
  scatteredSource,
  subSource,
  wrapperAtStart,
} from '@diskmorph/disk-image';
import type { ImagePlace } from './image-place.ts';
import { openPlace } from './image-place.ts';
import type { UnwrapProgress } from './spool-stream.ts';
import { spoolSource, spoolStream } from './spool-stream.ts';
import type { UnpackDirectory } from './unpack-directory.ts';
import { temporaryUnpackDirectory } from './unpack-directory.ts';
import { nodeWrapperPorts } from './wrapper-ports.ts';

/** Containers within containers that are opened when the caller sets no other limit: a package in a compressed tar. */
export const DEFAULT_WRAPPER_DEPTH: number = 3;

/** How an image is taken out of its containers. */
export interface UnwrapRequest {
  /** Where a work directory is made when bytes must be unpacked; the directory of the file when absent. */
  readonly directory?: string;
  /** The file to take from an archive, or the id of a disk of an OVF package. */
  readonly entry?: string;
  readonly limits?: Partial<WrapperLimits>;
  readonly maxDepth?: number;
  readonly onProgress?: (progress: UnwrapProgress) => void;
  readonly signal?: AbortSignal;
}

/** An image outside its containers. */
export interface UnwrappedImage {
  /** Where its bytes are: the file itself, a part of it, or a file in the work directory or a part of that. */
  readonly file: ImagePlace;
  /** What was opened, outermost first; empty when the file is no container. */
  readonly wrappers: readonly WrapperKind[];
  /** The image's name in the innermost archive that has names. */
  readonly innerName?: string;
  /** Removes what was unpacked; missing means done. */
  cleanup(): Promise<void>;
}

/**
 * The image that lies in `filePath`, however often it is packed: what an archive stores as it is stays where it is, what is
 * compressed is unpacked into a work directory. A file whose own format is known is no container. Throws as `openWrapper`
 * does, `unsafe` for too many containers, `out_of_bounds` for an entry of a file that is no archive, `io` when it would take
 * nearly all free space; leaves nothing then.
 */
export async function unwrapImage(filePath: string, request: UnwrapRequest = {}): Promise<UnwrappedImage> {
  const work = temporaryUnpackDirectory(request.directory ?? path.dirname(filePath));
  try {
    return { ...(await unwrapAll(filePath, request, work)), cleanup: work.remove };
  } catch (error) {
    await work.remove();
    throw error;
  }
}

/** `unwrapImage` into a directory that is the caller's to remove. */
export async function unwrapAll(
  filePath: string,
  request: UnwrapRequest,
  work: UnpackDirectory,
): Promise<Omit<UnwrappedImage, 'cleanup'>> {
  const wrappers: WrapperKind[] = [];
  let place: ImagePlace = { path: filePath };
  let innerName: string | undefined;
  // What is packed twice may grow no more than what is packed once: the ratio counts from the outermost stream.
  let packedBytes: number | undefined;
  for (;;) {
    const step = await unwrapOnce(place, { ...request, wrappers, packedBytes }, work);
    if (step === undefined) break;
    if (place.path !== filePath && step.place.path !== place.path) await rm(place.path, { force: true });
    place = step.place;
    innerName = step.name ?? innerName;
    packedBytes ??= step.packedBytes;
    wrappers.push(step.kind);
  }
  if (request.entry !== undefined && !wrappers.some(isArchive)) {
    throw new ImageError('out_of_bounds', `The file is no archive, so ${request.entry} cannot be chosen from it`);
  }
  return { file: place, wrappers, ...(innerName === undefined ? {} : { innerName }) };
}

interface Step {
  readonly kind: WrapperKind;
  readonly place: ImagePlace;
  readonly name: string | undefined;
  /** Bytes that were unpacked; undefined when nothing was. */
  readonly packedBytes: number | undefined;
}

/** A request on the way. */
interface StepRequest extends UnwrapRequest {
  readonly wrappers: readonly WrapperKind[];
  readonly packedBytes: number | undefined;
}

/** Opens the container at `place`; undefined when it is none. */
async function unwrapOnce(place: ImagePlace, request: StepRequest, work: UnpackDirectory): Promise<Step | undefined> {
  const source = await openPlace(place);
  try {
    const kind = await containerKind(source);
    if (kind === undefined) return undefined;
    refuseDepth(request);
    const opened = await openContainer(source, kind, request);
    const inside = opened.placement === 'stream' ? undefined : placeInside(place, opened);
    const { name } = opened;
    if (inside !== undefined) return { kind, place: inside, name, packedBytes: undefined };
    const unpacked = await work.newFile();
    const step = { kind, place: { path: unpacked }, name };
    if (opened.placement === 'stream') {
      await spoolStream(opened, { path: unpacked, take: work.take }, { ...request, kind, totalBytes: source.size });
      return { ...step, packedBytes: source.size };
    }
    // Holes within holes: so rare that they are filled in.
    await spoolSource(partOf(source, opened), { path: unpacked, take: work.take }, request.signal);
    return { ...step, packedBytes: undefined };
  } finally {
    await source.close();
  }
}

function refuseDepth({ maxDepth = DEFAULT_WRAPPER_DEPTH, wrappers }: StepRequest): void {
  if (wrappers.length < maxDepth) return;
  throw new ImageError('unsafe', `The image is packed more than ${maxDepth} times (${wrappers.join(', ')})`);
}

type Stored = Exclude<Unwrapped, { readonly placement: 'stream' }>;

/** Where what the container at `place` stores as it is lies in the file; undefined when that cannot be said. */
function placeInside(place: ImagePlace, opened: Stored): ImagePlace | undefined {
  const { path: filePath, window, scattered } = place;
  const start = window?.offset ?? 0;
  if (opened.placement === 'range') {
    const { offset, length: size } = opened;
    return scattered === undefined
      ? { path: filePath, window: { offset: start + offset, size } }
      : { path: filePath, scattered: partOfScattered(scattered, { offset, size }) };
  }
  if (scattered !== undefined) return undefined;
  const pieces = opened.pieces.map((piece) => ({ ...piece, hostOffset: start + piece.hostOffset }));
  return { path: filePath, scattered: { length: opened.length, pieces } };
}

function partOf(source: ByteSource, opened: Stored): ByteSource {
  return opened.placement === 'range'
    ? subSource(source, opened.offset, opened.length)
    : scatteredSource(source, opened);
}

/** An entry is for the first archive: what is packed inside it has no other. */
function openContainer(source: ByteSource, kind: WrapperKind, request: StepRequest): Promise<Unwrapped> {
  const countedShare = Math.min(1, (request.packedBytes ?? source.size) / Math.max(1, source.size));
  const choosesHere = isArchive(kind) && !request.wrappers.some(isArchive);
  return openWrapper(source, kind, {
    ports: nodeWrapperPorts,
    limits: { ...request.limits, countedShare },
    ...(request.entry === undefined || !choosesHere ? {} : { entry: request.entry }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
}

function isArchive(kind: WrapperKind): boolean {
  return kind === 'zip' || kind === 'tar' || kind === 'ova';
}

/** A file that bears the signature of an image format is that image, whatever else its first bytes look like. */
export async function containerKind(source: ByteSource): Promise<WrapperKind | undefined> {
  const head = await readBytes(source, 0, Math.min(source.size, PROBE_HEAD_SIZE));
  const tailSize = Math.min(source.size, PROBE_TAIL_SIZE);
  const tail = await readBytes(source, source.size - tailSize, tailSize);
  const isImage = formats.some((format) => format.name !== 'raw' && format.probe({ size: source.size, head, tail }));
  return isImage ? undefined : wrapperAtStart(head);
}
