import type { TargetProfile } from '@diskmorph/disk-image';
import { findTarget, targetProfiles } from '@diskmorph/disk-image';
import type { OptionSpec } from './arguments/command.ts';
import { UsageError } from './arguments/command.ts';
import { nearestName } from './arguments/nearest-name.ts';

/** The option that names a target. */
export const TARGET_OPTION: OptionSpec = {
  long: 'for',
  value: 'TARGET',
  summary: 'Where the image is to go, such as azure or esxi; "diskmorph targets" lists them',
};

/** The profile of the named target. Throws `UsageError`, naming what is near or all there are. */
export function requireTarget(name: string): TargetProfile {
  const found = findTarget(name);
  if (found !== undefined) return found;
  const names = targetProfiles.map((profile) => profile.name);
  const near = nearestName(name, names);
  throw new UsageError(
    near === undefined
      ? `There is no target "${name}"; there are ${names.join(', ')}`
      : `There is no target "${name}"; did you mean ${near}?`,
  );
}

/** The profile's commands for this file. */
export function nextCommands(profile: TargetProfile, path: string): readonly string[] {
  const name = /^[\w./:@%+=-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
  return profile.next.map((command) => command.replaceAll(/\bFILE\b/g, () => name));
}
