import type { Format } from '../image/format.ts';
import { qcow2 } from './qcow2/qcow2.ts';
import { raw } from './raw/raw.ts';

/** The one list of formats. Probing goes from first to last, so `raw`, which every file matches, stands last. */
export const formats: readonly Format[] = [qcow2, raw];

/** The format of that name or alias, in any case. */
export function findFormat(name: string): Format | undefined {
  const wanted = name.toLowerCase();
  return formats.find((format) => format.name === wanted || format.aliases.includes(wanted));
}
