/** Every format that diskmorph recognises by name. Which can be read or written is said by the list in `formats/all.ts`. */
export type FormatName =
  | 'raw'
  | 'qcow2'
  | 'vmdk'
  | 'vhd'
  | 'vhdx'
  | 'vdi'
  | 'qed'
  | 'parallels'
  | 'luks'
  | 'qcow'
  | 'dmg'
  | 'cloop'
  | 'bochs';
