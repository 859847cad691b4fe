import type { ByteSource } from '../bytes/byte-source.ts';
import { ImageError } from '../errors.ts';

/** Another file that a header names. Nothing of this kind is opened unless a policy grants it. */
export interface ImageReference {
  readonly kind: 'backing' | 'data-file' | 'extent' | 'parent';
  /** The name exactly as the header has it; hostile until a policy has judged it. */
  readonly name: string;
  /** The format that the header claims for the file, when it does. */
  readonly format?: string;
  /** When the header records which image it means: the file that is opened must bear one of these as its `linkId`. */
  readonly linkIds?: readonly string[];
}

/** What a policy gives for a reference it allows. */
export interface GrantedReference {
  readonly source: ByteSource;
  /** Judges what the granted file itself names (relative to where that file lies). */
  readonly references: ReferencePolicy;
  /** The same for the same file however it is named; loops are found by it. */
  readonly identity: string;
}

/** Opens the file that a header names, or throws `unsafe`. */
export type ReferencePolicy = (reference: ImageReference) => Promise<GrantedReference>;

/** The default: refuses every reference. */
export const denyReferences: ReferencePolicy = async (reference) => {
  throw new ImageError(
    'unsafe',
    `The image refers to another file (${describeReference(reference)}), and no file may be opened on its word`,
    {
      structure: reference.kind,
    },
  );
};

const MAX_SHOWN_NAME = 200;

/** The reference in words, its name quoted, cut to a readable length, control characters escaped. */
export function describeReference(reference: ImageReference): string {
  const shown =
    reference.name.length > MAX_SHOWN_NAME ? `${reference.name.slice(0, MAX_SHOWN_NAME)}...` : reference.name;
  return `${reference.kind.replace('-', ' ')} ${JSON.stringify(shown)}`;
}
