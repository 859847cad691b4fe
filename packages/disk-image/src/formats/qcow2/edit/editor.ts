import type { FormatEditor } from '../../../image/editor.ts';
import { amendQcow2 } from './amend.ts';
import { changeQcow2Backing } from './backing.ts';
import { qcow2Bitmaps } from './bitmaps.ts';
import { emptyQcow2 } from './empty.ts';
import { openQcow2Guest } from './guest-writer.ts';
import { repairQcow2 } from './repair.ts';
import { resizeQcow2 } from './resize.ts';
import { applySnapshot, createSnapshot, deleteSnapshot } from './snapshots.ts';
import { trackedFile } from './tracked-file.ts';

/** Changes qcow2 images in place: `docs/decisions/0005-in-place-changes.md` says how they stay whole. */
export const qcow2Editor: FormatEditor = {
  resize: (file, request) => resizeQcow2(trackedFile(file), request),
  snapshots: {
    create: (file, request) => createSnapshot(trackedFile(file), request),
    apply: (file, wanted) => applySnapshot(trackedFile(file), wanted),
    delete: (file, wanted) => deleteSnapshot(trackedFile(file), wanted),
  },
  bitmaps: qcow2Bitmaps,
  openGuest: (file) => openQcow2Guest(trackedFile(file)),
  changeBacking: (file, backing) => changeQcow2Backing(trackedFile(file), backing),
  empty: (file) => emptyQcow2(trackedFile(file)),
  repair: (file, scope) => repairQcow2(trackedFile(file), scope),
  amend: (file, options) => amendQcow2(trackedFile(file), options),
};
