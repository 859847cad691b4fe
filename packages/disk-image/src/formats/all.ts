import type { Format } from '../image/format.ts';
import { bochs } from './bochs/bochs.ts';
import { cloop } from './cloop/cloop.ts';
import { dmg } from './dmg/dmg.ts';
import { luks } from './luks/luks.ts';
import { parallels } from './parallels/parallels.ts';
import { qcow } from './qcow/qcow.ts';
import { qcow2 } from './qcow2/qcow2.ts';
import { qed } from './qed/qed.ts';
import { raw } from './raw/raw.ts';
import { vdi } from './vdi/vdi.ts';
import { vhd } from './vhd/vhd.ts';
import { vhdx } from './vhdx/vhdx.ts';
import { vmdk } from './vmdk/vmdk.ts';

/** The one list of formats. Probing goes from first to last, so `raw`, which every file matches, stands last. */
export const formats: readonly Format[] = [
  qcow2,
  vmdk,
  vhdx,
  vdi,
  qed,
  qcow,
  parallels,
  luks,
  bochs,
  cloop,
  vhd,
  dmg,
  raw,
];

/** The format of that name or alias, in any case. */
export function findFormat(name: string): Format | undefined {
  const wanted = name.toLowerCase();
  return formats.find((format) => format.name === wanted || format.aliases.includes(wanted));
}
