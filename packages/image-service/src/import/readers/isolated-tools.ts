import { availableParallelism } from 'node:os';
import { basename, dirname, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ByteSource, Verdict } from '@diskmorph/disk-image';
import { openFileSource } from '@diskmorph/disk-image-node';
import type { ImageTools } from '../image-tools.ts';
import { codeFolders } from './code-folders.ts';
import { formatReaders } from './format-readers.ts';
import type { InspectionOrder } from './reader-messages.ts';
import { readerPool } from './reader-pool.ts';
import type { ReaderFiles, ReaderOptions } from './reader-process.ts';

/** How images are read apart from the service. */
export interface IsolationOptions extends Pick<ReaderOptions, 'memoryBytes' | 'threads' | 'log'> {
  /** Milliseconds that an inspection, or the reading of a piece, may take. */
  readonly patienceMs: number;
  /** The file that readers start from, for tests; their own when absent. */
  readonly entry?: string;
}

/** Tools that never read an image in this process. */
export interface IsolatedTools extends ImageTools {
  /** Ends all readers. */
  close(): Promise<void>;
}

/** At least so many images are read at the same time, and one for each processor. */
const FEWEST_READERS = 4;
/** Conversions are counted by whoever begins them. */
const UNCOUNTED = 1000;
/** Handed bytes are all that a reader of this kind gets. */
const NO_FILES: ReaderFiles = { read: [], write: [] };
// The compiled package holds .js files, the source tree .ts files.
const ENTRY = fileURLToPath(
  new URL(`./reader-worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url),
);

/**
 * The tools, used in processes of their own with bounded memory and time (`docs/decisions/0018-images-are-read-apart.md`).
 * What is inspected is handed to a process that can open no file, and so is what is given in another format; what converts
 * can open the folder of its one job. `local` is asked only what concerns no image.
 */
export function isolatedImageTools(local: ImageTools, options: IsolationOptions): IsolatedTools {
  const { patienceMs, entry = ENTRY } = options;
  const most = Math.max(FEWEST_READERS, availableParallelism());
  const program = { ...options, entry, code: codeFolders(entry) };
  const handed = readerPool({ ...program, threads: 1 }, most);
  const files = readerPool(program, UNCOUNTED);
  const formats = formatReaders(program);
  const inspectSource = (source: ByteSource, of: InspectionOrder): Promise<Verdict> =>
    handed.use(NO_FILES, async (reader) => {
      const { source: number, take } = reader.hand(source);
      try {
        return await reader.call('inspectSource', { ...of, source: number, size: source.size }, { patienceMs });
      } finally {
        take();
      }
    });
  return {
    readable: local.readable,
    checkOptions: local.checkOptions,
    leastBytes: local.leastBytes,
    async inspect(path, { signal, ...of }) {
      signal?.throwIfAborted();
      const source = await openFileSource(path);
      try {
        return await inspectSource(source, { ...of, fileName: basename(path) });
      } finally {
        await source.close();
      }
    },
    inspectSource,
    openInFormat: formats.open,
    isPacked: (path) =>
      files.use({ read: [path], write: [] }, (reader) => reader.call('isPacked', { path }, { patienceMs })),
    inspectPacked: (path, { signal, ...of }) =>
      files.use({ read: [path], write: [folder(of.directory)] }, (reader) =>
        reader.call('inspectPacked', { path, ...of }, signal === undefined ? {} : { signal }),
      ),
    unpack: (from, to, { entry: chosen, maxBytes, maxRatio, signal, onBytes }) =>
      files.use(jobFiles(to, from), (reader) =>
        reader.call(
          'unpack',
          { from, to, entry: chosen, maxBytes, ...(maxRatio === undefined ? {} : { maxRatio }) },
          { ...(signal === undefined ? {} : { signal }), ...(onBytes === undefined ? {} : { onBytes }) },
        ),
      ),
    forecast: (conversion, work) =>
      files.use(jobFiles(conversion.target.path, conversion.source.path), (reader) =>
        reader.call('forecast', conversion, work),
      ),
    convert: (conversion, { checkpointDir, ...work }) =>
      files.use(jobFiles(conversion.target.path, conversion.source.path), (reader) =>
        reader.call('convert', { ...conversion, checkpointDir }, work),
      ),
    async verify(file, expected, work) {
      await files.use(jobFiles(file.path), (reader) => reader.call('verify', { ...file, expected }, work));
    },
    close: async () => {
      handed.close();
      files.close();
      formats.close();
    },
  };
}

/** The folder of the target with all that is in it, and the source where that is not there. */
function jobFiles(target: string, source?: string): ReaderFiles {
  const write = folder(dirname(target));
  return { read: source === undefined || source.startsWith(write) ? [] : [source], write: [write] };
}

function folder(path: string): string {
  return path.endsWith(sep) ? path : `${path}${sep}`;
}
