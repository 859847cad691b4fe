import type { SnapshotInfo } from '@diskmorph/disk-image';
import { parseOptionString } from '../arguments/option-string.ts';
import { Failure } from '../failure.ts';

/** Which snapshot `-l` means. */
export interface SnapshotChoice {
  readonly id?: string;
  readonly name?: string;
  /** Either of both. */
  readonly any?: string;
}

/** Reads `snapshot.id=ID,snapshot.name=NAME`, or an id or name. */
export function readSnapshotChoice(given: string): SnapshotChoice {
  if (!given.startsWith('snapshot.')) return { any: given };
  const choice: { id?: string; name?: string } = {};
  for (const { name, value } of parseOptionString(given)) {
    if (name === 'snapshot.id') choice.id = value ?? '';
    else if (name === 'snapshot.name') choice.name = value ?? '';
    else throw new Failure([`Invalid parameter '${name}'`, `Failed in parsing snapshot param '${given}'`]);
  }
  return choice;
}

/** The id of the snapshot that is meant. Throws a failure when there is none. */
export function chooseSnapshot(snapshots: readonly SnapshotInfo[], choice: SnapshotChoice): string {
  const { id, name, any } = choice;
  const found =
    any === undefined
      ? snapshots.find((one) => (id === undefined || one.id === id) && (name === undefined || one.name === name))
      : (snapshots.find((one) => one.id === any) ?? snapshots.find((one) => one.name === any));
  if (found === undefined) throw new Failure("Failed to load snapshot: Can't find snapshot");
  return found.id;
}
