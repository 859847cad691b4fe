import type { FormatEditor } from '../../../image/editor.ts';
import { amendQcow2 } from './amend.ts';
import { changeQcow2Backing } from './backing.ts';
import { qcow2Bitmaps } from './bitmaps.ts';
import { emptyQcow2 } from './empty.ts';
import { openQcow2Guest } from './guest-writer.ts';
import { repairQcow2 } from './repair.ts';
import { resizeQcow2 } from './resize.ts';
import { applySnapshot, createSnapshot, deleteSnapshot } from './snapshots.ts';

/** Changes qcow2 images in place: `docs/decisions/0005-in-place-changes.md` says how they stay whole. */
export const qcow2Editor: FormatEditor = {
  resize: resizeQcow2,
  snapshots: { create: createSnapshot, apply: applySnapshot, delete: deleteSnapshot },
  bitmaps: qcow2Bitmaps,
  openGuest: openQcow2Guest,
  changeBacking: changeQcow2Backing,
  empty: emptyQcow2,
  repair: repairQcow2,
  amend: amendQcow2,
};
