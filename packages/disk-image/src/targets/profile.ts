import type { GivenOptions } from '../image/format.ts';
import type { FormatName } from '../image/format-name.ts';
import type { Candidate } from './candidate.ts';

/** One place that disk images are given to: what to make for it, and what it refuses. */
export interface TargetProfile {
  readonly name: string;
  /** For people. */
  readonly title: string;
  readonly output: TargetOutput;
  readonly rules: readonly TargetRule[];
  /** Rules of the target that lie inside the guest's file systems, where nothing is looked at: one clause each. */
  readonly unchecked: readonly string[];
  /** Commands that bring the image to the target; FILE stands for it, other capitals for what only the user knows. */
  readonly next: readonly string[];
}

/** What a conversion for the target makes. */
export interface TargetOutput {
  readonly format: FormatName;
  readonly options: GivenOptions;
  /** The guest disk grows to a whole multiple of this many bytes. */
  readonly sizeMultiple?: number;
  /** Present when the file may have no holes. */
  readonly dense?: true;
  /** How the image is packed; not at all when absent. */
  readonly packing?: 'tar-gz';
  /** Of the file's name, without the dot. */
  readonly extension: string;
}

/** `refusal`: the target does not take it. `warning`: some releases do not, or it works with a drawback, or the source is doubtful. */
export type RuleSeverity = 'refusal' | 'warning';

/** One thing that a target wants of an image. */
export interface TargetRule {
  /** Stable; callers branch on it. */
  readonly id: string;
  readonly severity: RuleSeverity;
  /**
   * `disk`: about the guest disk, so that no conversion mends it. `file`: about how the disk is stored.
   * `packing`: about the container; the only rules that hold for a file that is packed.
   */
  readonly about: 'disk' | 'file' | 'packing';
  /** What the target wants, in one sentence. */
  readonly sentence: string;
  /** What to do when it is broken; FILE stands for the image. */
  readonly mend: string;
  /** Where the rule is written or was seen: addresses, or names of documents. */
  readonly sources: readonly string[];
  /** How the candidate breaks the rule, as a clause that follows "the image"; undefined when it keeps it. */
  readonly breach: Breach;
}

/** A pure test of a candidate. */
export type Breach = (candidate: Candidate) => string | undefined;
