import type { Format } from '../../image/format.ts';
import { checkQcow2 } from './check.ts';
import { qcow2Editor } from './edit/editor.ts';
import { examineQcow2 } from './examine.ts';
import { hasQcow2Magic } from './header.ts';
import { openQcow2 } from './open.ts';
import { usedClusters } from './used-clusters.ts';
import { qcow2Writer } from './writer.ts';

/** QEMU's image format, versions 2 and 3. `docs/formats/qcow2.md` names each structure and the source of each fact. */
export const qcow2: Format = {
  name: 'qcow2',
  aliases: ['qcow2v3', 'qcow3'],
  probe: ({ head }) => hasQcow2Magic(head),
  examine: examineQcow2,
  open: openQcow2,
  check: checkQcow2,
  usedUnits: usedClusters,
  writer: qcow2Writer,
  editor: qcow2Editor,
};
