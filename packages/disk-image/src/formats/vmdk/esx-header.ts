import { fieldReader } from '../../bytes/numbers.ts';
import { MAX_EXACT_SECTOR, SECTOR_SIZE } from './sector.ts';

/** A sparse extent that only ESX writes: recognised by its header, not read. */
export interface EsxExtent {
  /** The disk type of the descriptor that such extents belong to. */
  readonly kind: 'vmfsSparse' | 'seSparse';
  readonly version: number;
  /** Guest bytes, as the header claims. */
  readonly capacity: number;
  readonly grainSize: number;
}

/** Bytes that `parseEsxHeader` needs. */
export const ESX_HEADER_SIZE = 32;

const COWD_MAGIC = 0x44574f43;
const SE_SPARSE_MAGIC = 0x0000_0000_cafe_babe;

/**
 * The header of a COWD extent (Virtual Disk Format 5.0, "ESXi Host Sparse Extents": magic, version, flags, sectors,
 * grain size as u32) or of an seSparse extent (the constant header that its authors published on the qemu-devel list:
 * magic, version, capacity, grain size as u64); undefined for neither.
 */
export function parseEsxHeader(head: Uint8Array): EsxExtent | undefined {
  if (head.length < ESX_HEADER_SIZE) return undefined;
  const fields = fieldReader(head, 'little', { format: 'vmdk', structure: 'ESX extent header' });
  if (fields.u32(0) === COWD_MAGIC) {
    return esxExtent('vmfsSparse', fields.u32(4), { capacity: fields.u32(12), grainSize: fields.u32(16) });
  }
  if (fields.bits64(0) !== BigInt(SE_SPARSE_MAGIC)) return undefined;
  const capacity = clampSectors(fields.bits64(16));
  return esxExtent('seSparse', fields.u32(12), { capacity, grainSize: clampSectors(fields.bits64(24)) });
}

function esxExtent(
  kind: EsxExtent['kind'],
  version: number,
  sectors: { readonly capacity: number; readonly grainSize: number },
): EsxExtent {
  return {
    kind,
    version,
    capacity: sectors.capacity * SECTOR_SIZE,
    grainSize: sectors.grainSize * SECTOR_SIZE,
  };
}

/** These numbers are only shown, never used, so a monstrous one is shown as the largest possible. */
function clampSectors(sectors: bigint): number {
  return sectors > BigInt(MAX_EXACT_SECTOR) ? MAX_EXACT_SECTOR : Number(sectors);
}
