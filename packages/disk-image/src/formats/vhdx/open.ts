import type { ByteSource } from '../../bytes/byte-source.ts';
import { assert } from '../../errors.ts';
import type { DiskImage } from '../../image/disk-image.ts';
import type { Examination, OpenContext } from '../../image/format.ts';
import { mappedImage } from '../../image/mapped-image.ts';
import { refuseUnsafe } from '../../image/refusal.ts';
import { readAnatomy } from './anatomy.ts';
import { batFindings, blockAllocationTable } from './block-allocation-table.ts';
import { guestMap } from './guest-map.ts';
import { vhdxInfo } from './image-info.ts';
import { vhdxError } from './vhdx-error.ts';

/** What the metadata says, its log applied, and what is suspicious about it and about the places of blocks. */
export async function examineVhdx(source: ByteSource): Promise<Examination> {
  const anatomy = await readAnatomy(source);
  const findings = [...anatomy.findings];
  if (anatomy.geometry !== undefined) {
    findings.push(...(await batFindings(anatomy.source, anatomy.batRegion, anatomy.geometry)));
  }
  return { info: vhdxInfo(anatomy), findings };
}

/**
 * Opens the disk with its log applied in memory; what a differencing disk leaves to its parent is `absent`.
 * Throws for everything unsafe that `examineVhdx` finds but the parent, which is the chain's part.
 */
export async function openVhdx(source: ByteSource, context: OpenContext): Promise<DiskImage> {
  if (context.snapshot !== undefined) {
    throw vhdxError('unsupported', 'A VHDX file holds no internal snapshots', 'header');
  }
  const anatomy = await readAnatomy(source);
  refuseUnsafe(
    'vhdx',
    anatomy.findings.filter(({ code }) => code !== 'differencing-parent'),
  );
  assert(anatomy.geometry !== undefined, 'impossible sizes are refused');
  const table = blockAllocationTable(anatomy.source, anatomy.batRegion, anatomy.geometry);
  return mappedImage(anatomy.source, vhdxInfo(anatomy), guestMap(anatomy.source, table));
}
