import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Unwrapped, WrapperKind, WrapperLimits } from '@diskmorph/disk-image';
import {
  DEFAULT_WRAPPER_LIMITS,
  formats,
  ImageError,
  openWrapper,
  PROBE_HEAD_SIZE,
  PROBE_TAIL_SIZE,
  readBytes,
  wrapperAtStart,
} from '@diskmorph/disk-image';
import type { ByteSource } from '@diskmorph/disk-image';
import { openFileSource } from './file-source.ts';
import type { ImageFile } from './image-file.ts';
import { ioError } from './io-error.ts';
import type { UnwrapProgress } from './spool-stream.ts';
import { spoolPieces, spoolStream } from './spool-stream.ts';
import { windowSource } from './window-source.ts';
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
  /** Where its bytes are: the file itself, a part of it, or a file in the work directory. */
  readonly file: Required<Pick<ImageFile, 'path'>> & Pick<ImageFile, 'window'>;
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
 * does, `unsafe` for too many containers, `out_of_bounds` for an entry of a file that is no archive; leaves nothing then.
 */
export async function unwrapImage(filePath: string, request: UnwrapRequest = {}): Promise<UnwrappedImage> {
  const work = workDirectory(request.directory ?? path.dirname(filePath));
  try {
    return { ...(await unwrapAll(filePath, request, work)), cleanup: work.remove };
  } catch (error) {
    await work.remove();
    throw error;
  }
}

interface WorkDirectory {
  /** The path of a new file; the directory is made when the first one is asked for. */
  newFile(): Promise<string>;
  remove(): Promise<void>;
}

function workDirectory(parent: string): WorkDirectory {
  let made: string | undefined;
  let count = 0;
  return {
    async newFile() {
      made ??= await mkdtemp(path.join(parent, '.diskmorph-unpack-')).catch((error: unknown) => {
        throw ioError(`Cannot unpack in ${parent}`, error);
      });
      return path.join(made, `unpacked-${++count}`);
    },
    async remove() {
      if (made !== undefined) await rm(made, { recursive: true, force: true });
    },
  };
}

type Place = UnwrappedImage['file'];

async function unwrapAll(
  filePath: string,
  request: UnwrapRequest,
  work: WorkDirectory,
): Promise<Omit<UnwrappedImage, 'cleanup'>> {
  const wrappers: WrapperKind[] = [];
  let place: Place = { path: filePath };
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
  readonly place: Place;
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
async function unwrapOnce(place: Place, request: StepRequest, work: WorkDirectory): Promise<Step | undefined> {
  const file = await openFileSource(place.path);
  try {
    const source = place.window === undefined ? file : windowSource(file, place.window);
    const kind = await containerKind(source);
    if (kind === undefined) return undefined;
    const maxDepth = request.maxDepth ?? DEFAULT_WRAPPER_DEPTH;
    if (request.wrappers.length >= maxDepth) {
      throw new ImageError(
        'unsafe',
        `The image is packed more than ${maxDepth} times (${request.wrappers.join(', ')})`,
      );
    }
    const opened = await openContainer(source, kind, request);
    if (opened.placement === 'range') {
      const offset = (place.window?.offset ?? 0) + opened.offset;
      return {
        kind,
        place: { path: place.path, window: { offset, size: opened.length } },
        name: opened.name,
        packedBytes: undefined,
      };
    }
    const unpacked = await work.newFile();
    const step = { kind, place: { path: unpacked }, name: opened.name };
    if (opened.placement === 'pieces') {
      await spoolPieces(source, opened, { filePath: unpacked, signal: request.signal });
      return { ...step, packedBytes: undefined };
    }
    await spoolStream(opened, unpacked, { ...request, report: { wrapper: kind, totalBytes: source.size } });
    return { ...step, packedBytes: source.size };
  } finally {
    await file.close();
  }
}

/** An entry is for the first archive: what is packed inside it has no other. */
function openContainer(source: ByteSource, kind: WrapperKind, request: StepRequest): Promise<Unwrapped> {
  const limits = { ...DEFAULT_WRAPPER_LIMITS, ...request.limits };
  const share = Math.min(1, (request.packedBytes ?? source.size) / Math.max(1, source.size));
  const choosesHere = isArchive(kind) && !request.wrappers.some(isArchive);
  return openWrapper(source, kind, {
    ports: nodeWrapperPorts,
    limits: { ...limits, maxRatio: limits.maxRatio * share },
    ...(request.entry === undefined || !choosesHere ? {} : { entry: request.entry }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
}

function isArchive(kind: WrapperKind): boolean {
  return kind === 'zip' || kind === 'tar' || kind === 'ova';
}

/** A file that bears the signature of an image format is that image, whatever else its first bytes look like. */
async function containerKind(source: ByteSource): Promise<WrapperKind | undefined> {
  const head = await readBytes(source, 0, Math.min(source.size, PROBE_HEAD_SIZE));
  const tailSize = Math.min(source.size, PROBE_TAIL_SIZE);
  const tail = await readBytes(source, source.size - tailSize, tailSize);
  const isImage = formats.some((format) => format.name !== 'raw' && format.probe({ size: source.size, head, tail }));
  return isImage ? undefined : wrapperAtStart(head);
}
