import type { CollectedState } from './result-collector.ts';

/** A durable point from which a conversion can go on. Plain data. */
export interface Checkpoint {
  /** The checkpoint format; another number is not understood. */
  readonly version: 1;
  /** The digest of the plan: a checkpoint of another plan is of no use. */
  readonly planDigest: string;
  readonly state: CollectedState;
}

/** Keeps the last checkpoint of one conversion. */
export interface CheckpointStore {
  /** The last checkpoint saved whole, or undefined. */
  load(): Promise<Checkpoint | undefined>;
  /** Returns when the checkpoint would survive a loss of power. */
  save(checkpoint: Checkpoint): Promise<void>;
}

/** Guest bytes of data between two checkpoints, unless the caller says otherwise: a second or less of work. */
export const CHECKPOINT_INTERVAL: number = 256 * 2 ** 20;
