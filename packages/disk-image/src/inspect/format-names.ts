import type { Format } from '../image/format.ts';
import type { FormatName } from '../image/format-name.ts';

/** What a declared name promises. */
export interface Expectation {
  readonly format: FormatName;
  /** True when the guest bytes must be an ISO 9660 volume. */
  readonly iso9660: boolean;
  /** True for kernels and ramdisks, which are compressed files by nature. */
  readonly mayBeWrapped: boolean;
}

/**
 * Names that are no format of their own: partitioned disks, and what image services call an ISO, a kernel, a ramdisk
 * and a machine image. All are raw bytes.
 */
const RAW_NAMES: ReadonlyMap<string, Omit<Expectation, 'format'>> = new Map([
  ['gpt', { iso9660: false, mayBeWrapped: false }],
  ['mbr', { iso9660: false, mayBeWrapped: false }],
  ['iso', { iso9660: true, mayBeWrapped: false }],
  ['iso9660', { iso9660: true, mayBeWrapped: false }],
  ['ami', { iso9660: false, mayBeWrapped: false }],
  ['aki', { iso9660: false, mayBeWrapped: true }],
  ['ari', { iso9660: false, mayBeWrapped: true }],
]);

/** What the name promises, in any case; undefined for a name that nobody knows. */
export function expectationOf(name: string, formats: readonly Format[]): Expectation | undefined {
  const wanted = name.toLowerCase();
  const rawName = RAW_NAMES.get(wanted);
  if (rawName !== undefined) return { format: 'raw', ...rawName };
  const format = formats.find((candidate) => candidate.name === wanted || candidate.aliases.includes(wanted));
  return format === undefined ? undefined : { format: format.name, iso9660: false, mayBeWrapped: false };
}

/** True when what is declared is a compressed file by nature: a kernel, a ramdisk. */
export function isPackedByNature(declared: string | undefined, formats: readonly Format[]): boolean {
  return declared !== undefined && expectationOf(declared, formats)?.mayBeWrapped === true;
}
