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
  /** The containers, from the innermost, that the image was taken out of: then all else is about the image inside. */
  readonly packed?: { readonly wrappers: readonly string[]; readonly name?: string };
  /** Bytes that the file takes on its disk: fewer than `fileSize` when it has holes. */
  readonly allocatedBytes?: number;
}

/** The container that the file is packed in and that was not opened: then `format` and all else speak of the container. */
export function closedWrapper(candidate: Candidate): string | undefined {
  return candidate.contents?.kind === 'wrapper' ? candidate.contents.wrapper : undefined;
}

/** What the file is packed as, such as `tar in gz`; undefined when it is not. Of a closed container the outermost alone is known. */
export function packingOf(candidate: Candidate): string | undefined {
  return candidate.packed?.wrappers.join(' in ') ?? closedWrapper(candidate);
}
