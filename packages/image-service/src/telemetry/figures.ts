/** One call that has ended. */
export interface EndedCall {
  readonly method: string;
  /** The pattern of the route: few values, whatever is asked for. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
  /** Bytes on the wire, headers too. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** How a piece of work ended. */
export type Outcome = 'success' | 'failure';

/** One stage of a task that has ended, or its undoing. */
export interface EndedStage {
  readonly flow: string;
  readonly stage: string;
  readonly outcome: Outcome | 'paused' | 'reverted';
  readonly seconds: number;
}

/** A task that has ended; `code` says why it failed, and is empty when it did not. */
export interface EndedTask {
  readonly flow: string;
  readonly outcome: 'succeeded' | 'failed' | 'cancelled';
  readonly code: string;
}

/** One operation of a store. */
export interface StoreOperation {
  readonly store: string;
  readonly operation: 'put' | 'read' | 'stat' | 'delete' | 'list';
  readonly outcome: Outcome;
  readonly seconds: number;
  readonly bytes: number;
}

/** A figure that is looked up when somebody asks for it. */
export interface Gauge {
  readonly name: GaugeName;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The gauges and what they say. */
export const GAUGES = {
  diskmorph_tasks: 'Tasks that have not ended, by state: queued wait for their turn',
  diskmorph_work_space_free_bytes: 'Bytes free for us where data waits or is converted',
  diskmorph_work_space_used_bytes: 'Bytes that files take where data waits or is converted',
  diskmorph_store_free_bytes: 'Bytes free for us in a store',
} as const;

/** The name of a gauge. */
export type GaugeName = keyof typeof GAUGES;

/** What is counted and measured; `text` is what Prometheus reads. */
export interface Figures {
  callBegan(): void;
  callEnded(call: EndedCall): void;
  stageEnded(stage: EndedStage): void;
  taskEnded(task: EndedTask): void;
  storeUsed(operation: StoreOperation): void;
  /** Asks for gauges each time somebody reads. What it throws leaves them out. */
  look(gauges: () => Promise<readonly Gauge[]>): void;
  /** In Prometheus's text format, version 0.0.4. */
  text(): Promise<string>;
  close(): Promise<void>;
}
