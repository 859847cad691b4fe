import { integer, size } from './option-types.ts';
import type { Definitions } from './options.ts';
import type { ValueReader } from './value-source.ts';

/** The value of every option about what one image or one caller may take from the service. */
export interface SafetyOptionValues {
  readonly readerMemory: number;
  readonly readerTimeout: number;
}

/** What the options about safety say: bytes, and milliseconds. */
export interface SafetyConfiguration {
  readonly readerMemoryBytes: number;
  readonly readerPatienceMs: number;
}

const MOST_SECONDS = 86_400;

/** Those options. */
export const SAFETY_OPTIONS: Definitions<SafetyOptionValues> = {
  readerMemory: {
    section: 'diskmorph',
    name: 'reader_memory',
    type: size,
    default: '1073741824',
    help: 'Images are inspected and converted in processes of their own: the bytes of memory that one image may make its process\ntake. An image that needs more fails with reader_out_of_memory.',
  },
  readerTimeout: {
    section: 'diskmorph',
    name: 'reader_timeout',
    type: integer({ min: 1, max: MOST_SECONDS }),
    default: '60',
    help: 'Seconds that the inspection of an image may take; one that takes longer fails with reader_hung.',
  },
};

/** The options about safety, checked together. */
export function readSafety(reader: ValueReader): SafetyConfiguration {
  return {
    readerMemoryBytes: reader.read(SAFETY_OPTIONS.readerMemory) ?? 0,
    readerPatienceMs: milliseconds(reader.read(SAFETY_OPTIONS.readerTimeout)),
  };
}

function milliseconds(seconds: number | undefined): number {
  return (seconds ?? 0) * 1000;
}
