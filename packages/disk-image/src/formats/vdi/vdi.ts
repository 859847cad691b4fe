import { fieldReader } from '../../bytes/numbers.ts';
import type { Format, ProbeInput } from '../../image/format.ts';
import { checkVdi } from './check.ts';
import { examineVdi } from './examine.ts';
import { SIGNATURE, SIGNATURE_AT } from './header.ts';
import { openVdi } from './open.ts';
import { vdiWriter } from './writer.ts';

/** VirtualBox disk images, dynamic and static. `docs/formats/vdi.md` names each structure and the source of each fact. */
export const vdi: Format = {
  name: 'vdi',
  aliases: [],
  probe,
  examine: examineVdi,
  open: openVdi,
  check: checkVdi,
  writer: vdiWriter,
};

function probe({ head }: ProbeInput): boolean {
  if (head.length < SIGNATURE_AT + 4) return false;
  return fieldReader(head, 'little', { format: 'vdi', structure: 'header' }).u32(SIGNATURE_AT) === SIGNATURE;
}
