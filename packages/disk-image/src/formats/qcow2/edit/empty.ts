import type { WritableImageFile } from '../../../image/editor.ts';
import { neededL1Entries } from '../cluster-geometry.ts';
import { openForChange } from './edited-image.ts';
import { changeMapping, readActiveL1, replaceActiveL1 } from './mapping-change.ts';
import { repairDirty } from './repair.ts';
import { transaction } from './transaction.ts';

/** Takes every cluster of the guest disk away, so that it reads as the backing image does. Snapshots keep theirs. */
export async function emptyQcow2(file: WritableImageFile): Promise<void> {
  const image = await openForChange(file, { externalData: 'refused', repair: repairDirty });
  const { header, geometry } = image.metadata;
  const change = await transaction(image);
  await changeMapping(change, await readActiveL1(image), -1);
  const words = new Uint32Array(neededL1Entries(header.virtualSize, geometry) * 2);
  await change.commit({ fields: await replaceActiveL1(change, words) });
}
