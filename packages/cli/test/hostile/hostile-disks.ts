import type { HostileFile } from './hostile-file.ts';
import { hostileParallels, hostileQcow, hostileQed } from './old-table-files.ts';
import { hostileBochs, hostileCloop, hostileDmg } from './other-files.ts';
import { hostileQcow2 } from './qcow2-files.ts';
import { hostileLuks, hostileRaw } from './raw-files.ts';
import { hostileVdi } from './vdi-files.ts';
import { hostileVhd } from './vhd-files.ts';
import { hostileVhdx } from './vhdx-files.ts';
import { hostileVmdk } from './vmdk-files.ts';

/** Files of every format. */
export function hostileDisks(): readonly HostileFile[] {
  return [
    ...hostileRaw(),
    ...hostileQcow2(),
    ...hostileVmdk(),
    ...hostileVhd(),
    ...hostileVhdx(),
    ...hostileVdi(),
    ...hostileQed(),
    ...hostileParallels(),
    ...hostileQcow(),
    ...hostileDmg(),
    ...hostileCloop(),
    ...hostileBochs(),
    ...hostileLuks(),
  ];
}
