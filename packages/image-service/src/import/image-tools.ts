import type { ByteSource, Verdict } from '@diskmorph/disk-image';
import type { PlannedFile } from '@diskmorph/disk-image-node';
import type { StoredData } from './stored-data.ts';

/** An image file and the format it is read as; never guessed from its content. */
export interface ImageFile {
  readonly path: string;
  readonly format: string;
}

/** What to convert into what. */
export interface ToolConversion {
  readonly source: ImageFile;
  readonly target: ImageFile & { readonly options: Readonly<Record<string, string>> };
}

/** How a long piece of work is watched and stopped. */
export interface ToolWork {
  readonly signal?: AbortSignal;
  readonly onBytes?: (done: number, total: number) => void;
}

/** What a conversion will need. */
export interface ConversionForecast {
  /** Bytes of the guest disk. */
  readonly virtualSize: number;
  /** The most bytes of disk space that the result takes. */
  readonly spaceBytes: number;
  /** Bytes that the file of the result has at least, whatever the disk holds. */
  readonly leastBytes: number;
}

/** What a conversion did. */
export interface ConversionOutcome {
  /** The same for the same guest bytes in any format. */
  readonly contentId: string;
  /** Bytes of the source's guest disk. */
  readonly virtualSize: number;
  /** Bytes that an earlier conversion, cut off, had done already. */
  readonly resumedFromBytes: number;
}

/** The bytes of an image: in a file that is open for reading, or to be asked for in ranges, which may be asked for together. */
export type SourceAtHand = { readonly fd: number } | StoredData;

/** An image that is to be given in another format, and what is remembered of that. */
export interface FormatOrder {
  readonly source: SourceAtHand;
  /** As which the source is read. */
  readonly format: string;
  readonly target: {
    readonly format: string;
    readonly options: Readonly<Record<string, string>>;
    /** Some formats write it into the image. */
    readonly fileName: string;
  };
  /** Two files, open for reading and writing, for what is found out about the target. */
  readonly tablesFd: number;
  readonly runsFd: number;
  /** What was found out before, with the same two files; undefined: nothing, and they are empty. */
  readonly planned: PlannedFile | undefined;
}

/** How such work is watched. */
export interface FormatWork extends ToolWork {
  /** Asked before so many more bytes are written to the two files. */
  readonly room: (bytes: number) => Promise<void>;
  /** Milliseconds without progress after which it is given up; sending counts while somebody waits for it. */
  readonly stallMs: number;
}

/** An image in another format, that is made while it is read. */
export interface ImageInFormat {
  readonly planned: PlannedFile;
  /** False once something went wrong. */
  readonly alive: boolean;
  /** The bytes of a range inside of it, made as they are taken; their memory is the receiver's. One range at a time. */
  read(range: { readonly offset: number; readonly length: number }): AsyncIterable<Uint8Array>;
  /** Ends the work at once, whatever it does. */
  close(): void;
}

/** All that the import knows how to do with disk images. Every failure is an `ImageError`. No other file is ever opened. */
export interface ImageTools {
  /** The formats that can be read. */
  readonly readable: readonly string[];
  inspect(
    path: string,
    options: { readonly declared?: string; readonly maxVirtualSize: number; readonly signal?: AbortSignal },
  ): Promise<Verdict>;
  /** As `inspect`, of bytes that are no file of this machine. */
  inspectSource(
    source: ByteSource,
    options: { readonly declared?: string; readonly fileName?: string; readonly maxVirtualSize: number },
  ): Promise<Verdict>;
  /** True for a file that holds an image in a container. */
  isPacked(path: string): Promise<boolean>;
  /** As `inspect`, of the image inside containers; what is unpacked for it lies in the directory meanwhile. */
  inspectPacked(
    path: string,
    options: {
      readonly entry: string | null;
      readonly directory: string;
      readonly maxVirtualSize: number;
      readonly signal?: AbortSignal;
    },
  ): Promise<Verdict>;
  /** Writes the image inside the container into a file of its own, flushed, of at most so many bytes and so many for each byte of it. */
  unpack(
    from: string,
    to: string,
    options: { readonly entry: string | null; readonly maxBytes: number; readonly maxRatio?: number } & ToolWork,
  ): Promise<{ readonly sizeBytes: number }>;
  /** The image in another format, found out about unless it was before; nothing is written but the two files. */
  openInFormat(order: FormatOrder, work: FormatWork): Promise<ImageInFormat>;
  /** Reads tables and writes nothing. */
  forecast(conversion: ToolConversion, work: ToolWork): Promise<ConversionForecast>;
  /**
   * Replaces what is at the target's path, atomically and flushed; goes on from the checkpoints in the directory when a
   * conversion of the same source was cut off.
   */
  convert(conversion: ToolConversion, work: ToolWork & { readonly checkpointDir: string }): Promise<ConversionOutcome>;
  /** Reads the whole result back. Throws `corrupt` unless it holds what was read from the source. */
  verify(
    file: ImageFile,
    expected: Pick<ConversionOutcome, 'contentId' | 'virtualSize'>,
    work: ToolWork,
  ): Promise<void>;
  /** Bytes that the file of any disk of this size has at least. Throws for options and sizes that the format does not have. */
  leastBytes(target: Omit<ToolConversion['target'], 'path'>, virtualSize: number): number;
  /** Throws for options that a target of this format does not have, or that would spread it over several files. */
  checkOptions(format: string, options: Readonly<Record<string, string>>): void;
}
