import type { ByteSource } from '../../bytes/byte-source.ts';
import type { GivenOptions } from '../../image/format.ts';
import { readAnatomy } from './anatomy.ts';
import { vhdxError } from './vhdx-error.ts';

/** The options of a fixed or dynamic disk. Throws `unsupported` for a differencing disk. */
export async function vhdxLikeness(source: ByteSource): Promise<GivenOptions> {
  const { metadata, headers } = await readAnatomy(source);
  if (metadata.hasParent) throw vhdxError('unsupported', 'A differencing VHDX cannot be made anew', 'metadata');
  return {
    subformat: metadata.leaveBlocksAllocated ? 'fixed' : 'dynamic',
    block_size: `${metadata.blockSize}`,
    log_size: `${headers.current.logLength}`,
    logical_sector_size: `${metadata.logicalSectorSize}`,
    disk_id: metadata.diskId,
  };
}
