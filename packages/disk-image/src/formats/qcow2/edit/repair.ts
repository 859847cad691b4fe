import type { RepairReport, RepairScope, WritableImageFile } from '../../../image/editor.ts';
import type { CheckReport } from '../../../image/format.ts';
import { checkQcow2, countReferences } from '../check.ts';
import { INCOMPATIBLE } from '../header.ts';
import { qcow2Error } from '../qcow2-error.ts';
import type { EditedImage } from './edited-image.ts';
import { readEdited } from './edited-image.ts';
import { switchHeader } from './header-switch.ts';
import { correctCopiedFlags, readActiveL1, replaceActiveL1 } from './mapping-change.ts';
import { transaction } from './transaction.ts';

/** What corrected refcounts and flags mend. Other corruptions are broken references, whose data is lost already. */
const MENDABLE: ReadonlySet<string> = new Set(['leaked-cluster', 'refcount-too-low', 'copied-flag']);

/**
 * Sets refcounts to the references that were counted: with `leaks` only those that are too high; with `all` every one,
 * the copied flags after them, and when no corruption is left the dirty and corrupt marks go. Throws as `checkQcow2`.
 */
export async function repairQcow2(file: WritableImageFile, scope: RepairScope): Promise<RepairReport> {
  const before = await checkQcow2(file.source);
  const hasWork = before.leaks > 0 || (scope === 'all' && before.corruptions > 0);
  if (hasWork) await correctRefcounts(file, scope, before);
  const after = hasWork ? await checkQcow2(file.source) : before;
  if (scope === 'all' && after.corruptions === 0) await clearMarks(await readEdited(file));
  return {
    before,
    leaksFixed: Math.max(0, before.leaks - after.leaks),
    corruptionsFixed: Math.max(0, before.corruptions - after.corruptions),
    after,
  };
}

/** Repairs an image that was not closed properly. Throws `corrupt` when corruptions remain. */
export async function repairDirty(file: WritableImageFile): Promise<void> {
  const { after } = await repairQcow2(file, 'all');
  if (after.corruptions === 0) return;
  throw qcow2Error('corrupt', `The image was not closed properly, and ${after.corruptions} corruptions remain`, {
    structure: 'image',
  });
}

async function correctRefcounts(file: WritableImageFile, scope: RepairScope, before: CheckReport): Promise<void> {
  const read = await readEdited(file);
  const { clusterSize } = read.metadata.geometry;
  const { state, blocks } = await countReferences(file.source);
  const end = Math.max(Math.ceil(file.source.size / clusterSize), state.references.end);
  const allocation = { trusted: isWhollyMended(before, scope), single: end, run: end };
  const image: EditedImage = { ...read, allocation };
  const change = await transaction(image, { blockOffsets: blocks });
  for (let cluster = 0; cluster < end; cluster++) {
    const references = state.references.get(cluster);
    const recorded = change.refcount(cluster * clusterSize);
    const refcount = typeof recorded === 'number' ? recorded : await recorded;
    if (refcount > references || (scope === 'all' && refcount < references)) {
      await change.setRefcount(cluster * clusterSize, references);
    }
  }
  const l1 = await readActiveL1(image);
  await correctCopiedFlags(change, l1, 'skip');
  await change.commit({ fields: await replaceActiveL1(change, l1.words) });
}

/** True when nothing but mendable faults was found, so that afterwards the refcounts can be trusted. */
function isWhollyMended(before: CheckReport, scope: RepairScope): boolean {
  if (scope === 'leaks') return before.corruptions === 0;
  const mendable = before.findings.filter((finding) => MENDABLE.has(finding.code)).length;
  return mendable === before.corruptions + before.leaks;
}

async function clearMarks(image: EditedImage): Promise<void> {
  const { incompatibleFeatures } = image.metadata.header;
  const cleared = incompatibleFeatures & ~(INCOMPATIBLE.dirty | INCOMPATIBLE.corrupt);
  if (cleared !== incompatibleFeatures) await switchHeader(image, { fields: { incompatibleFeatures: cleared } });
}
