import type { Sample } from './samples.ts';

/** What clients have done to one image, and what the service has promised about it. */
export interface ImageStory {
  readonly id: string;
  /** What was given to it last. */
  sample: Sample | undefined;
  /** How it was given. */
  way: 'upload' | 'stage' | 'import' | undefined;
  /** The service said that the last of these was done, or begun. */
  promised: boolean;
  /** Values of `disk_format` that it may end with. */
  readonly formats: Set<string>;
  /** Tasks that the service said it had begun, and the stores that they were to fill. */
  readonly tasks: Map<string, readonly string[]>;
  /** Somebody asked for the end of its tasks. */
  cancelled: boolean;
  deletion: 'none' | 'asked' | 'promised';
  readonly events: string[];
}

/** All that happened. */
export interface Record {
  readonly stories: Map<string, ImageStory>;
  /** Promises that were seen broken on the way. */
  readonly violations: string[];
  readonly counts: Map<string, number>;
}

/** Nothing has happened yet. */
export function newRecord(): Record {
  return { stories: new Map(), violations: [], counts: new Map() };
}

/** The story of an image that was just made. */
export function newStory(id: string): ImageStory {
  return {
    id,
    sample: undefined,
    way: undefined,
    promised: false,
    formats: new Set(),
    tasks: new Map(),
    cancelled: false,
    deletion: 'none',
    events: [],
  };
}

/** Notes something that happened to an image. */
export function note(record: Record, story: ImageStory, event: string): void {
  story.events.push(event);
  count(record, event.split(' ')[0] ?? event);
}

/** Counts something that happened. */
export function count({ counts }: Record, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}
