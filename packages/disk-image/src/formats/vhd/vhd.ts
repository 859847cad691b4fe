import type { Format } from '../../image/format.ts';
import { checkVhd } from './check.ts';
import { examineVhd } from './examine.ts';
import { FOOTER_SIZE, hasCookie, OLD_FOOTER_SIZE } from './footer.ts';
import { openVhd } from './open.ts';
import { vhdWriter } from './writer.ts';

/**
 * Virtual Hard Disk of Virtual PC, Hyper-V and Azure: fixed, dynamic and differencing. `docs/formats/vhd.md` names each
 * structure and the source of each fact.
 */
export const vhd: Format = {
  name: 'vhd',
  aliases: ['vpc'],
  probe: ({ head, tail }) =>
    hasCookie(head, 0) || hasCookie(tail, tail.length - FOOTER_SIZE) || hasCookie(tail, tail.length - OLD_FOOTER_SIZE),
  examine: examineVhd,
  open: openVhd,
  check: checkVhd,
  writer: vhdWriter,
};
