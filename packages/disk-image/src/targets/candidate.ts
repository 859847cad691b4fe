import type { ImageInfo } from '../image/disk-image.ts';
import type { Finding } from '../image/finding.ts';
import type { FormatName } from '../image/format-name.ts';

/**
 * What is known of a file before it is given to a target: the verdict of an inspection, and what the file system says.
 * A verdict with the facts of the file added is a candidate.
 */
export interface Candidate {
  readonly format: FormatName;
  readonly subformat?: string;
  /** Bytes of the guest disk; absent when the header could not be understood. */
  readonly virtualSize?: number;
  readonly fileSize: number;
  readonly info?: Pick<ImageInfo, 'references' | 'encryption' | 'details'>;
  readonly findings: readonly Finding[];
  readonly partitionTable?: { readonly kind: 'mbr' | 'gpt' | 'hybrid' | 'protective' };
  readonly contents?: { readonly kind: 'iso9660' } | { readonly kind: 'wrapper'; readonly wrapper: string };
  /** Bytes that the file takes on its disk: fewer than `fileSize` when it has holes. */
  readonly allocatedBytes?: number;
}

/** The container that the file is packed in, if any: then `format` and all else speak of the container. */
export function wrapperOf(candidate: Candidate): string | undefined {
  return candidate.contents?.kind === 'wrapper' ? candidate.contents.wrapper : undefined;
}
