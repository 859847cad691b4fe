import type { ImageReference } from '../../image/reference.ts';
import { vmdkError } from './fault.ts';

/** The parent of a new differencing disk, as its descriptor will name it. */
export interface Parent {
  /** What the parent's own descriptor has as its CID. */
  readonly contentId: number;
  readonly name: string;
}

/** Bytes of a path on every common system, at the most. */
const MAX_PARENT_NAME_SIZE = 4096;

/**
 * The parent that `backing` stands for. Throws `unsupported` for an image that is no VMDK or bears no content id,
 * `out_of_bounds` for a name that a descriptor cannot hold.
 */
export function parentOf(backing: ImageReference): Parent {
  const [linkId = ''] = backing.linkIds ?? [];
  if (backing.format !== 'vmdk' || !/^[0-9a-f]{8}$/.test(linkId)) {
    throw vmdkError('unsupported', 'The parent of a VMDK must be a VMDK with a content id', 'descriptor');
  }
  const { name } = backing;
  const size = new TextEncoder().encode(name).length;
  const isPlain = [...name].every((character) => character !== '"' && isPrintable(character));
  if (name !== '' && name === name.trim() && isPlain && size <= MAX_PARENT_NAME_SIZE) {
    return { contentId: Number.parseInt(linkId, 16), name };
  }
  throw vmdkError(
    'out_of_bounds',
    `The name of the parent ${JSON.stringify(name.slice(0, MAX_SHOWN_NAME))} cannot stand in a descriptor: it is empty, longer than ${MAX_PARENT_NAME_SIZE} bytes, or has quotation marks, control characters or spaces at its ends`,
    'descriptor',
  );
}

const MAX_SHOWN_NAME = 80;

function isPrintable(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  return code >= 0x20 && code !== 0x7f;
}
