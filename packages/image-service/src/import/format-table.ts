/** How the image service calls formats, and what this product reads them as. */
interface DiskFormatEntry {
  /** The name of the reader; absent where there is nothing to convert from. */
  readonly reader?: string;
}

/** The one table of names: every `disk_format` that Glance knows. */
const DISK_FORMATS: Readonly<Record<string, DiskFormatEntry>> = {
  raw: { reader: 'raw' },
  // A raw disk with a partition table.
  gpt: { reader: 'raw' },
  qcow2: { reader: 'qcow2' },
  vmdk: { reader: 'vmdk' },
  vhd: { reader: 'vhd' },
  vhdx: { reader: 'vhdx' },
  vdi: { reader: 'vdi' },
  ploop: { reader: 'parallels' },
  iso: {},
  ami: {},
  ari: {},
  aki: {},
};

/** The names that an image may be declared as. */
export const DISK_FORMAT_NAMES: readonly string[] = Object.keys(DISK_FORMATS);

/** The reader for a declared format; undefined for names that mean no disk image (or nothing at all). */
export function readerOf(diskFormat: string): string | undefined {
  return DISK_FORMATS[diskFormat]?.reader;
}

/** What reads and writes the format of this name: a `disk_format`, or what others call it. */
export function readerNamed(name: string): string | undefined {
  return readerOf(name === 'vpc' ? 'vhd' : name);
}

/** What the image service calls the format of a reader. */
export function diskFormatOf(reader: string): string {
  return DISK_FORMAT_NAMES.find((name) => DISK_FORMATS[name]?.reader === reader) ?? reader;
}
