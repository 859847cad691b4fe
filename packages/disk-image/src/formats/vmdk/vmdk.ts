import type { Format } from '../../image/format.ts';
import { looksLikeVmdk } from './anatomy.ts';
import { openDisk } from './disk.ts';
import { examineDisk } from './examine.ts';
import { checkDisk } from './check.ts';
import { vmdkWriter } from './writer.ts';

/** VMware's virtual disks: sparse, stream-optimized and flat, in one file or several. Virtual Disk Format 5.0. */
export const vmdk: Format = {
  name: 'vmdk',
  aliases: [],
  probe: looksLikeVmdk,
  examine: examineDisk,
  open: openDisk,
  check: checkDisk,
  writer: vmdkWriter,
};
