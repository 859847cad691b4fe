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
  /** Somebody asked for the end of its import. */
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

/** Notes something that happened to an image. */
export function note(record: Record, story: ImageStory, event: string): void {
  story.events.push(event);
  const [what = event] = event.split(' ');
  record.counts.set(what, (record.counts.get(what) ?? 0) + 1);
}
