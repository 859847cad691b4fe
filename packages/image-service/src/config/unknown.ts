import { ALL_OPTIONS } from './all-options.ts';
import type { IniEntry } from './ini.ts';
import { nearestName } from './nearest.ts';
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
  for (const option of ALL_OPTIONS) {
    add(option.section, option.name);
    for (const former of option.deprecated ?? []) add(former.section, former.name);
  }
  for (const { id, type } of stores) {
    for (const option of Object.values(STORE_OPTIONS_OF[type] ?? {})) add(id, option.name);
  }
  return known;
}
