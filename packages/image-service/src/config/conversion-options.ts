import { boolean, integer } from './option-types.ts';
import type { Definitions } from './options.ts';
import type { ValueReader } from './value-source.ts';

/** The value of every option about conversions outside of imports. */
export interface ConversionConfiguration {
  /** Uploads are brought into the format that imports into the same store have. */
  readonly convertUploads: boolean;
  /** Downloads in another format at the same time. */
  readonly maxConvertedDownloads: number;
  /** Seconds. */
  readonly downloadPlanLifetime: number;
  /** Seconds. */
  readonly replacedDataGrace: number;
}

/** Those options. */
export const CONVERSION_OPTIONS: Definitions<ConversionConfiguration> = {
  convertUploads: {
    section: 'image_conversion',
    name: 'convert_uploads',
    type: boolean,
    default: 'false',
    help: 'Convert also what is given by PUT /v2/images/ID/file, to output_format of the store or else of this section, whatever\n[image_import_opts] image_import_plugins says. The answer comes when the image is active.',
  },
  maxConvertedDownloads: {
    section: 'diskmorph',
    name: 'max_converted_downloads',
    type: integer({ min: 0, max: 1000 }),
    default: '4',
    help: 'Downloads with ?format= at the same time, each with a process of its own; more are answered with 503. 0: none is allowed.',
  },
  downloadPlanLifetime: {
    section: 'diskmorph',
    name: 'download_plan_lifetime',
    type: integer({ min: 0, max: 86_400 }),
    default: '600',
    help: 'Seconds for which it is remembered, in files of the work directory, where the bytes of a download with ?format= lie: the\nwhole image is read before the first byte of such a download, but not before the next part of it. All take at most 1 GiB.',
  },
  replacedDataGrace: {
    section: 'diskmorph',
    name: 'replaced_data_grace',
    type: integer({ min: 0, max: 86_400 }),
    default: '10',
    help: 'Seconds for which bytes that an image no longer has stay in their store, so that downloads that have just begun are\nseen by all processes; downloads are waited for in any case. At least 10 where several processes serve the API.',
  },
};

/** The options about conversions outside of imports. */
export function readConversions(reader: ValueReader): ConversionConfiguration {
  return {
    convertUploads: reader.read(CONVERSION_OPTIONS.convertUploads) ?? false,
    maxConvertedDownloads: reader.read(CONVERSION_OPTIONS.maxConvertedDownloads) ?? 0,
    downloadPlanLifetime: reader.read(CONVERSION_OPTIONS.downloadPlanLifetime) ?? 0,
    replacedDataGrace: reader.read(CONVERSION_OPTIONS.replacedDataGrace) ?? 0,
  };
}
