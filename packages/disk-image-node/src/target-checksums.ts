import type { TargetFile } from '@diskmorph/disk-image';
import { checksumFile, growingChecksums } from './checksum.ts';
import type { GrowingChecksums } from './checksum.ts';
import type { ChecksumName, Checksums } from './checksum-span.ts';

/** One file that a conversion writes, and what is to be computed over its bytes. */
export interface ChecksummedFile {
  readonly path: string;
  readonly names: readonly ChecksumName[];
  readonly layout: TargetFile;
}

/** The checksums of all files of a conversion, those that can be computed while they are written. */
export interface TargetChecksums {
  /** Guest bytes before this one have been written. */
  advance(guestEnd: number): void;
  /** All files are whole. One for each, in the order given. Throws `io` and `aborted`. */
  finish(signal: AbortSignal | undefined): Promise<readonly Checksums[]>;
  /** Ends what is under way. */
  stop(): Promise<void>;
}

/** Begins with the files that hold guest bytes from their first byte on; all of them are there already. */
export function targetChecksums(files: readonly ChecksummedFile[]): TargetChecksums {
  const growing = files.map((file) =>
    file.names.length > 0 && isVerbatim(file.layout) ? growingChecksums(file.path, file.names) : undefined,
  );
  const each = (visit: (file: TargetFile, checksums: GrowingChecksums) => void): void => {
    for (const [index, { layout }] of files.entries()) {
      const checksums = growing[index];
      if (checksums !== undefined) visit(layout, checksums);
    }
  };
  return {
    advance(guestEnd) {
      each(({ guestOffset, guestLength }, checksums) => {
        const end = Math.min(guestEnd - guestOffset, guestLength);
        if (end > 0) checksums.advance(end);
      });
    },
    async finish(signal) {
      const work = signal === undefined ? {} : { signal };
      return Promise.all(
        files.map(async ({ path, names }, index) => {
          if (names.length === 0) return {};
          return growing[index]?.finish() ?? checksumFile(path, names, work);
        }),
      );
    },
    async stop() {
      const stopping: Promise<void>[] = [];
      each((_layout, checksums) => stopping.push(checksums.stop()));
      await Promise.all(stopping);
    },
  };
}

/** What is written behind the guest bytes comes at the end; before them there is nothing. */
function isVerbatim({ placement, hostOffset, guestLength }: TargetFile): boolean {
  return placement === 'fixed' && hostOffset === 0 && guestLength > 0;
}
