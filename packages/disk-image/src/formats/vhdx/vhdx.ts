import type { Format } from '../../image/format.ts';
import { checkVhdx } from './check.ts';
import { FILE_SIGNATURE } from './header.ts';
import { examineVhdx, openVhdx } from './open.ts';
import { vhdxWriter } from './writer.ts';

/** Hyper-V's virtual hard disk version 2: dynamic, fixed, and read only, differencing. [MS-VHDX]. */
export const vhdx: Format = {
  name: 'vhdx',
  aliases: [],
  probe: ({ head }) => head.length >= FILE_SIGNATURE.length && FILE_SIGNATURE.every((byte, i) => head[i] === byte),
  examine: examineVhdx,
  open: openVhdx,
  check: checkVhdx,
  writer: vhdxWriter,
};
