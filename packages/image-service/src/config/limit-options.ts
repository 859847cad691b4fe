import { boolean, integer } from './option-types.ts';
import type { Definitions } from './options.ts';
import type { ValueReader } from './value-source.ts';

/** What the options about limits say. */
export type LimitConfiguration = LimitOptionValues;

/** The value of every option about what is shown of images and how much of everything there may be. */
export interface LimitOptionValues {
  readonly showImageDirectUrl: boolean;
  readonly showMultipleLocations: boolean;
  readonly doSecureHash: boolean;
  readonly imageLocationQuota: number;
}

/** Those options. */
export const LIMIT_OPTIONS: Definitions<LimitOptionValues> = {
  showImageDirectUrl: {
    section: 'DEFAULT',
    name: 'show_image_direct_url',
    type: boolean,
    default: 'false',
    help: 'Show where an image lies, as direct_url, to callers whom the rule get_image_location lets see it.',
  },
  showMultipleLocations: {
    section: 'DEFAULT',
    name: 'show_multiple_locations',
    type: boolean,
    default: 'false',
    help: 'Show every place of an image, as locations, and let callers change them by PATCH. Whoever may change the places of\nan image decides what others download: keep it off where users are not trusted; POST /v2/images/ID/locations does not need it.',
  },
  doSecureHash: {
    section: 'DEFAULT',
    name: 'do_secure_hash',
    type: boolean,
    default: 'true',
    help: 'Read what POST /v2/images/ID/locations names, and keep its digests. When false, those that the caller gives are kept\nunchecked.',
  },
  imageLocationQuota: {
    section: 'DEFAULT',
    name: 'image_location_quota',
    type: integer({ min: -1, max: 1_000_000 }),
    default: '10',
    help: 'The most places of one image; -1: any number.',
  },
};

/** The options about limits, checked together. */
export function readLimits(reader: ValueReader): LimitConfiguration {
  return {
    showImageDirectUrl: reader.read(LIMIT_OPTIONS.showImageDirectUrl) ?? false,
    showMultipleLocations: reader.read(LIMIT_OPTIONS.showMultipleLocations) ?? false,
    doSecureHash: reader.read(LIMIT_OPTIONS.doSecureHash) ?? true,
    imageLocationQuota: reader.read(LIMIT_OPTIONS.imageLocationQuota) ?? 0,
  };
}
