import type { Ask } from './asking.ts';
import { importFromWeb, stageAndImport, upload } from './bringing.ts';
import type { Chance } from './chance.ts';
import { cancelOne, convertOne, copyOne, deleteOne, downloadOne } from './meddling.ts';
import type { Record as Happened } from './record.ts';
import type { SampleShelf } from './samples.ts';

/** What a client works with. */
export interface ClientParts {
  readonly ask: Ask;
  readonly chance: Chance;
  readonly shelf: SampleShelf;
  readonly happened: Happened;
}

const ACTS: readonly [number, (parts: ClientParts) => Promise<void>][] = [
  [20, upload],
  [18, stageAndImport],
  [14, importFromWeb],
  [14, convertOne],
  [8, copyOne],
  [7, cancelOne],
  [7, deleteOne],
  [12, downloadOne],
];

/** Does one thing that clients do, chosen at random. */
export async function act(parts: ClientParts): Promise<void> {
  let dice = parts.chance.number(100);
  for (const [weight, perform] of ACTS) {
    if (dice < weight) return perform(parts);
    dice -= weight;
  }
}
