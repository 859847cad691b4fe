/**
 * Reads and writes the entries of a refcount block of any width. Entries narrower than a byte fill it from its least
 * significant bit on; wider ones are big-endian. qcow2 specification, "Host cluster management", refcount block entry.
 */

/** Entries in one block: it is one cluster long. */
export function refcountBlockEntries(clusterSize: number, refcountOrder: number): number {
  return (clusterSize * 8) / 2 ** refcountOrder;
}

/** The largest refcount that an entry holds, cut to 2^53 - 1 for widths above that. */
export function maxRefcount(refcountOrder: number): number {
  return Math.min(2 ** (2 ** refcountOrder) - 1, Number.MAX_SAFE_INTEGER);
}

/** The refcount number `index` of the block; 64-bit values above 2^53 lose their last digits. */
export function readRefcount(block: Uint8Array, index: number, refcountOrder: number): number {
  if (refcountOrder < 3) {
    const bits = 2 ** refcountOrder;
    const bit = index * bits;
    return ((block[bit >>> 3] ?? 0) >>> (bit & 7)) & (2 ** bits - 1);
  }
  const length = 2 ** (refcountOrder - 3);
  let value = 0;
  for (let at = index * length; at < (index + 1) * length; at++) value = value * 256 + (block[at] ?? 0);
  return value;
}

/** Adds one to the refcount number `index`. The caller knows that it stays within the width. */
export function incrementRefcount(block: Uint8Array, index: number, refcountOrder: number): void {
  if (refcountOrder < 3) {
    const bit = index * 2 ** refcountOrder;
    block[bit >>> 3] = (block[bit >>> 3] ?? 0) + (1 << (bit & 7));
    return;
  }
  const length = 2 ** (refcountOrder - 3);
  for (let at = (index + 1) * length - 1; at >= index * length; at--) {
    const sum = (block[at] ?? 0) + 1;
    block[at] = sum & 0xff;
    if (sum <= 0xff) return;
  }
}

/** Sets the refcount number `index` to `value`, which fits the width. */
export function writeRefcount(block: Uint8Array, index: number, refcountOrder: number, value: number): void {
  if (refcountOrder < 3) {
    const bits = 2 ** refcountOrder;
    const bit = index * bits;
    const mask = (2 ** bits - 1) << (bit & 7);
    block[bit >>> 3] = ((block[bit >>> 3] ?? 0) & ~mask) | (value << (bit & 7));
    return;
  }
  const length = 2 ** (refcountOrder - 3);
  let rest = value;
  for (let at = (index + 1) * length - 1; at >= index * length; at--) {
    block[at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}
