import { integer, size } from './option-types.ts';
import type { Definitions } from './options.ts';
import type { ValueReader } from './value-source.ts';

/** The value of every option about what one image or one caller may take from the service. */
export interface SafetyOptionValues {
  readonly readerMemory: number;
  readonly readerTimeout: number;
  readonly maxUploads: number;
  readonly maxDownloads: number;
  readonly downloadStallTimeout: number;
  readonly requestBodyTimeout: number;
  readonly spaceWaitTimeout: number;
}

/** What the options about safety say: bytes, and milliseconds. */
export interface SafetyConfiguration {
  readonly readerMemoryBytes: number;
  readonly readerPatienceMs: number;
  /** At the same time; infinite for any number. */
  readonly maxUploads: number;
  readonly maxDownloads: number;
  readonly downloadStallMs: number;
  readonly bodyMs: number;
  readonly spaceWaitMs: number;
}

const MOST_TRANSFERS = 100_000;
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
  maxUploads: {
    section: 'diskmorph',
    name: 'max_uploads',
    type: integer({ min: 0, max: MOST_TRANSFERS }),
    default: '64',
    help: 'Uploads that one process takes at the same time; further ones are answered with 503. 0: any number.',
  },
  maxDownloads: {
    section: 'diskmorph',
    name: 'max_downloads',
    type: integer({ min: 0, max: MOST_TRANSFERS }),
    default: '256',
    help: 'Downloads that one process gives at the same time; further ones are answered with 503. 0: any number.',
  },
  downloadStallTimeout: {
    section: 'diskmorph',
    name: 'download_stall_timeout',
    type: integer({ min: 1, max: MOST_SECONDS }),
    default: '60',
    help: 'Seconds without a byte taken after which the receiver of a download is given up.',
  },
  requestBodyTimeout: {
    section: 'diskmorph',
    name: 'request_body_timeout',
    type: integer({ min: 1, max: MOST_SECONDS }),
    default: '30',
    help: 'Seconds that a caller may take to send a request that is not the data of an image.',
  },
  spaceWaitTimeout: {
    section: 'diskmorph',
    name: 'space_wait_timeout',
    type: integer({ min: 0, max: MOST_SECONDS }),
    default: '300',
    help: 'Seconds for which an import waits for disk space that other work has reserved, before it fails with\ninsufficient_space.',
  },
};

/** The options about safety, checked together. */
export function readSafety(reader: ValueReader): SafetyConfiguration {
  return {
    readerMemoryBytes: reader.read(SAFETY_OPTIONS.readerMemory) ?? 0,
    readerPatienceMs: milliseconds(reader.read(SAFETY_OPTIONS.readerTimeout)),
    maxUploads: count(reader.read(SAFETY_OPTIONS.maxUploads)),
    maxDownloads: count(reader.read(SAFETY_OPTIONS.maxDownloads)),
    downloadStallMs: milliseconds(reader.read(SAFETY_OPTIONS.downloadStallTimeout)),
    bodyMs: milliseconds(reader.read(SAFETY_OPTIONS.requestBodyTimeout)),
    spaceWaitMs: milliseconds(reader.read(SAFETY_OPTIONS.spaceWaitTimeout)),
  };
}

function milliseconds(seconds: number | undefined): number {
  return (seconds ?? 0) * 1000;
}

/** 0 stands for any number. */
function count(given: number | undefined): number {
  return given === 0 ? Number.POSITIVE_INFINITY : (given ?? 1);
}
