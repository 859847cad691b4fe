import type { Codecs } from '../bytes/codecs.ts';
import { assert } from '../errors.ts';

/** Guest bytes under one leaf of the hash tree. Part of the definition of the content id: never change it. */
export const LEAF_SIZE: number = 65536;

/** The most levels a tree can have above its leaves: 2^53 bytes of disk. */
const MAX_HEIGHT = 37;
const NODE_PREFIX = 1;
const ROOT_LABEL = 'diskmorph content id 1\n';
const CONTENT_ID_PREFIX = 'dm1-sha256:';

/**
 * The tree of SHA-256 digests behind a content id; `docs/content-id.md` specifies it. Subtrees of zeros are known
 * beforehand, so holes of any size cost nothing.
 */
export interface ContentTree {
  /** The digest of one leaf; `bytes` is shorter than `LEAF_SIZE` only at the end of the disk. */
  leaf(bytes: Uint8Array): Uint8Array;
  /** The digest of a subtree of zeros, `height` levels above its leaves. */
  zeros(height: number): Uint8Array;
  /** The digest of the node above two siblings. */
  node(left: Uint8Array, right: Uint8Array): Uint8Array;
  /** The digest of the complete subtree over `leaves`, whose number is a power of two. */
  subtree(leaves: readonly Uint8Array[]): Uint8Array;
}

/** A tree that digests with `codecs`. Cheap to make; zero digests are computed when first asked for. */
export function contentTree(codecs: Codecs): ContentTree {
  const zeroDigests: Uint8Array[] = [];
  const node = (left: Uint8Array, right: Uint8Array): Uint8Array => {
    const joined = new Uint8Array(65);
    joined[0] = NODE_PREFIX;
    joined.set(left, 1);
    joined.set(right, 33);
    return codecs.sha256(joined);
  };
  const tree: ContentTree = {
    leaf: (bytes) => codecs.sha256(bytes.length === LEAF_SIZE ? bytes : padded(bytes)),
    zeros(height) {
      assert(height >= 0 && height <= MAX_HEIGHT, 'a subtree of zeros has a possible height');
      zeroDigests[0] ??= codecs.sha256(new Uint8Array(LEAF_SIZE));
      for (let level = zeroDigests.length; level <= height; level++) {
        const below = zeroDigests[level - 1];
        assert(below !== undefined, 'zero digests grow from the leaves');
        zeroDigests.push(node(below, below));
      }
      return at(zeroDigests, height);
    },
    node,
    subtree(leaves) {
      let level = leaves;
      while (level.length > 1) {
        const above: Uint8Array[] = [];
        for (let i = 0; i < level.length; i += 2) above.push(node(at(level, i), at(level, i + 1)));
        level = above;
      }
      return at(level, 0);
    },
  };
  return tree;
}

/** The state of a `ContentIdBuilder` between two subtrees, as plain data for a checkpoint. */
export interface ContentIdState {
  /** Leaves taken so far. */
  readonly leaves: number;
  /** Digests (hex) of the complete subtrees so far, highest first, one for each bit set in `leaves`. */
  readonly pending: readonly string[];
}

/** Builds the content id of a disk from subtrees given in guest order. */
export interface ContentIdBuilder {
  /** Adds the subtree of `2^height` leaves that begins at leaf `index`; leaves skipped since the last are zeros. */
  add(index: number, height: number, digest: Uint8Array): void;
  state(): ContentIdState;
  /** The content id; everything not added is zeros. */
  finish(): string;
}

/** A builder for a disk of `virtualSize` bytes, from the beginning or from where `state` was taken. */
export function contentIdBuilder(codecs: Codecs, virtualSize: number, state?: ContentIdState): ContentIdBuilder {
  const tree = contentTree(codecs);
  const rootHeight = heightOf(Math.ceil(virtualSize / LEAF_SIZE));
  const rootLeaves = 2 ** rootHeight;
  let leaves = state?.leaves ?? 0;
  const pending: Uint8Array[] = (state?.pending ?? []).map(fromHex);

  const push = (height: number, digest: Uint8Array): void => {
    let merged = digest;
    for (let level = height; level < rootHeight && Math.floor(leaves / 2 ** level) % 2 === 1; level++) {
      const left = pending.pop();
      assert(left !== undefined, 'every bit of the leaf count has its subtree');
      merged = tree.node(left, merged);
    }
    pending.push(merged);
    leaves += 2 ** height;
  };
  const skipTo = (index: number): void => {
    while (leaves < index) {
      let height = 0;
      while (leaves % 2 ** (height + 1) === 0 && leaves + 2 ** (height + 1) <= index) height++;
      push(height, tree.zeros(height));
    }
  };
  return {
    add(index, height, digest) {
      assert(index >= leaves && index % 2 ** height === 0, 'subtrees come in guest order, each at its own multiple');
      assert(index + 2 ** height <= rootLeaves, 'a subtree lies inside the disk');
      skipTo(index);
      push(height, digest);
    },
    state: () => ({ leaves, pending: pending.map(toHex) }),
    finish() {
      skipTo(rootLeaves);
      assert(pending.length === 1, 'a finished tree has one root');
      return contentId(codecs, virtualSize, at(pending, 0));
    },
  };
}

/** Levels above its leaves of the subtree over one chunk: the whole tree's when the chunk is larger than the disk's tree. */
export function chunkHeight(virtualSize: number, chunkSize: number): number {
  return Math.min(heightOf(chunkSize / LEAF_SIZE), heightOf(Math.ceil(virtualSize / LEAF_SIZE)));
}

/** The first 16 bytes of a content id's digest: what identifiers in a target are derived from. */
export function contentSeed(contentId: string): Uint8Array {
  assert(contentId.startsWith(CONTENT_ID_PREFIX), 'a content id has its prefix');
  return fromHex(contentId.slice(CONTENT_ID_PREFIX.length)).subarray(0, 16);
}

/** Levels above the leaves of the smallest complete tree with at least `leafCount` leaves. */
function heightOf(leafCount: number): number {
  let height = 0;
  while (2 ** height < leafCount) height++;
  return height;
}

function contentId(codecs: Codecs, virtualSize: number, root: Uint8Array): string {
  const label = new TextEncoder().encode(ROOT_LABEL);
  const bytes = new Uint8Array(label.length + 8 + root.length);
  bytes.set(label);
  new DataView(bytes.buffer).setBigUint64(label.length, BigInt(virtualSize), true);
  bytes.set(root, label.length + 8);
  return CONTENT_ID_PREFIX + toHex(codecs.sha256(bytes));
}

function padded(bytes: Uint8Array): Uint8Array {
  const leaf = new Uint8Array(LEAF_SIZE);
  leaf.set(bytes);
  return leaf;
}

function at(digests: readonly Uint8Array[], index: number): Uint8Array {
  const digest = digests[index];
  assert(digest !== undefined, 'the digest is there');
  return digest;
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}
