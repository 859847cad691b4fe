import { ACCESS_OPTIONS } from './access-options.ts';
import type { IniEntry } from './ini.ts';
import { nearestName } from './nearest.ts';
import { DATABASE_OPTIONS } from './database-options.ts';
import { CONVERSION_OPTIONS } from './conversion-options.ts';
import { IMPORT_OPTIONS } from './import-options.ts';
import { LIMIT_OPTIONS } from './limit-options.ts';
import { SAFETY_OPTIONS } from './safety-options.ts';
import { OPERATOR_OPTIONS } from './operator-options.ts';
import { METADEF_OPTIONS } from './metadef-options.ts';
import { OPTIONS } from './options.ts';
import { STORE_OPTIONS_OF } from './store-options.ts';
import type { StoreSettings } from './store-settings.ts';

/**
 * One warning for each option that nothing reads, with the nearest known name of its section, and one for each section
 * that is unknown as a whole (a file shared with other services has many).
 */
export function unknownOptionWarnings(entries: readonly IniEntry[], stores: readonly StoreSettings[]): string[] {
  const known = knownNames(stores);
  const warnings = new Set<string>();
  for (const entry of entries) {
    const names = known.get(entry.section);
    if (names === undefined)
      warnings.add(`section [${entry.section}] is not used${meant(entry.section, [...known.keys()])}`);
    else if (!names.includes(entry.key)) {
      warnings.add(`[${entry.section}] ${entry.key} is not used${meant(entry.key, names)} (${entry.origin})`);
    }
  }
  return [...warnings];
}

function meant(name: string, candidates: readonly string[]): string {
  const nearest = nearestName(name, candidates);
  return nearest === undefined ? '' : `; did you mean "${nearest}"?`;
}

function knownNames(stores: readonly StoreSettings[]): Map<string, readonly string[]> {
  const known = new Map<string, string[]>();
  const add = (section: string, name: string): void => {
    known.set(section, [...(known.get(section) ?? []), name]);
  };
  for (const option of [
    ...Object.values(OPTIONS),
    ...Object.values(DATABASE_OPTIONS),
    ...Object.values(ACCESS_OPTIONS),
    ...Object.values(CONVERSION_OPTIONS),
    ...Object.values(IMPORT_OPTIONS),
    ...Object.values(LIMIT_OPTIONS),
    ...Object.values(METADEF_OPTIONS),
    ...Object.values(SAFETY_OPTIONS),
    ...Object.values(OPERATOR_OPTIONS),
  ]) {
    add(option.section, option.name);
    for (const former of option.deprecated ?? []) add(former.section, former.name);
  }
  for (const { id, type } of stores) {
    for (const option of Object.values(STORE_OPTIONS_OF[type] ?? {})) add(id, option.name);
  }
  return known;
}
