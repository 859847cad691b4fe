import type { SparseFile } from './sparse-file.ts';

/** A file made to harm its reader. */
export interface HostileFile {
  readonly name: string;
  /** What the drop-in calls its format; it is not run on containers, which it takes for raw disks. */
  readonly driver?: string;
  readonly file: SparseFile;
  /** It names a file, or a place that would be one, called `canary`. */
  readonly namesCanary?: boolean;
}

/** Files by name, all for one driver. */
export function named(driver: string, cases: Readonly<Record<string, SparseFile>>): readonly HostileFile[] {
  return Object.entries(cases).map(([name, file]) => ({ name: `${driver}-${name}`, driver, file }));
}
