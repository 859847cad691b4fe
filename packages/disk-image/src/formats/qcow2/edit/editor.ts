import type { FormatEditor } from '../../../image/editor.ts';
import { resizeQcow2 } from './resize.ts';
import { repairQcow2 } from './repair.ts';
import { applySnapshot, createSnapshot, deleteSnapshot } from './snapshots.ts';

/** Changes qcow2 images in place: `docs/decisions/0005-in-place-changes.md` says how they stay whole. */
export const qcow2Editor: FormatEditor = {
  resize: resizeQcow2,
  snapshots: { create: createSnapshot, apply: applySnapshot, delete: deleteSnapshot },
  repair: repairQcow2,
};
