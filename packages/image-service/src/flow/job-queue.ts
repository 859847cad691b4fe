/** A job that waits to be run. */
export interface QueueEntry {
  readonly jobId: string;
  readonly flow: string;
  readonly group: string | null;
  /** The only machine that may take it; null: any. */
  readonly node: string | null;
}

/** An entry that this process has taken, until it is done, put back, or taken away. */
export interface TakenEntry {
  readonly jobId: string;
  readonly flow: string;
  /** Where the entry lies, and which taking of it this is. */
  readonly place: { readonly queue: string; readonly id: string; readonly retryCount: number };
}

/**
 * Hands jobs out to processes, each to one at a time: the port. An entry whose holder does not say for a while that it is
 * alive is handed out again. What jobs are and how far they are is the journal's affair.
 */
export interface JobQueue<Transaction> {
  /** Throws when the queue cannot be reached. */
  open(): Promise<void>;
  close(): Promise<void>;
  /** Adds an entry, inside the transaction if given; one that is there already stays as it is. */
  put(entry: QueueEntry, transaction?: Transaction): Promise<void>;
  /** The oldest entry that may be run now: for any machine or for this one, of no group that has its fill. */
  take(): Promise<TakenEntry | undefined>;
  /** Says that the holder is alive; gives those of the entries that are still its own. */
  keep(entries: readonly TakenEntry[]): Promise<readonly TakenEntry[]>;
  done(entry: TakenEntry): Promise<void>;
  /** Lets somebody take it again, after so many seconds at the earliest. */
  putBack(entry: TakenEntry, afterSeconds: number): Promise<void>;
  /** Those of the jobs that no entry stands for. */
  missing(jobIds: readonly string[]): Promise<readonly string[]>;
}
