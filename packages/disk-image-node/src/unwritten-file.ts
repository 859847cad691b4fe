import type {
  ByteSource,
  DiskImage,
  GivenOptions,
  ProgressListener,
  TargetPieces,
  UnwrittenTarget,
} from '@diskmorph/disk-image';
import {
  denyReferences,
  ImageError,
  planUnwrittenTarget,
  throwIfAborted,
  unwrittenTarget,
} from '@diskmorph/disk-image';
import { requireFormat } from './image-file.ts';
import { nodeCodecs } from './native-codecs.ts';
import type { AskForRoom } from './planning-room.ts';
import { planningRoom } from './planning-room.ts';
import { descriptorFile, descriptorRuns } from './unnamed-file.ts';

/** An image that is to be read in another format without being written. */
export interface UnwrittenFileRequest {
  /** Closing it is left to the caller. */
  readonly source: ByteSource;
  /** The format that the source is read as; no other file is opened. */
  readonly format: string;
  readonly target: { readonly format: string; readonly options: GivenOptions; readonly fileName: string };
  /** Descriptors of two files that are read and written: for the tables of the target, and for where its units lie. */
  readonly tablesFd: number;
  readonly runsFd: number;
  /** What was planned before for the same source and target, whose files these are; else they are empty. */
  readonly planned?: PlannedFile | undefined;
  /** Asked while it is planned, before so many more bytes are written to the two files; what it throws ends the work. */
  readonly room?: AskForRoom;
  readonly onProgress?: ProgressListener;
  readonly signal?: AbortSignal;
}

/** Where the bytes of an unwritten file lie, besides what is in its two files. Plain data. */
export interface PlannedFile {
  readonly target: UnwrittenTarget;
  readonly runCount: number;
}

/** A file that is not written. */
export interface UnwrittenFile {
  readonly planned: PlannedFile;
  /** Fills `into` with the bytes from an offset on, all inside of the file. Throws as reading the source does. */
  read(offset: number, into: Uint8Array): Promise<void>;
}

/**
 * Plans the file, unless it is planned, in the calling thread. Throws as `planUnwrittenTarget`, `io`, `aborted`.
 */
export async function openUnwrittenFile(request: UnwrittenFileRequest): Promise<UnwrittenFile> {
  const { source, tablesFd, runsFd, planned, target, signal } = request;
  throwIfAborted(signal);
  const room = planned === undefined ? planningRoom(request.room) : undefined;
  const files = {
    tables: descriptorFile(tablesFd, planned?.target.sizeBytes),
    runs: descriptorRuns(runsFd, planned?.runCount),
  };
  const pieces: TargetPieces = {
    source: await openSource(room?.source(source) ?? source, request.format),
    target: requireFormat(target.format),
    codecs: nodeCodecs(),
    ...(room?.files(files) ?? files),
  };
  const file = planned ?? (await plan(pieces, request));
  const { read } = unwrittenTarget(file.target, pieces);
  return { planned: file, read: (offset, into) => read(offset, into) };
}

function openSource(source: ByteSource, name: string): Promise<DiskImage> {
  const format = requireFormat(name);
  if (format.open === undefined) throw new ImageError('unsupported', `${format.name} images cannot be read`);
  return format.open(source, { codecs: nodeCodecs(), references: denyReferences });
}

async function plan(pieces: TargetPieces, { target, onProgress, signal }: UnwrittenFileRequest): Promise<PlannedFile> {
  const { options, fileName } = target;
  const planned = await planUnwrittenTarget({
    ...pieces,
    options,
    fileName,
    ...(onProgress === undefined ? {} : { onProgress }),
    ...(signal === undefined ? {} : { signal }),
  });
  await pieces.runs.flush();
  return { target: planned, runCount: pieces.runs.count };
}
