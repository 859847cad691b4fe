import { path } from './option-types.ts';
import type { Definitions } from './options.ts';
import type { ValueReader } from './value-source.ts';

/** The value of every option about metadata definitions. */
export interface MetadefConfiguration {
  /** A directory of definition files, or one file. */
  readonly sourcePath: string;
}

/** Those options. */
export const METADEF_OPTIONS: Definitions<MetadefConfiguration> = {
  sourcePath: {
    section: 'DEFAULT',
    name: 'metadata_source_path',
    type: path,
    default: '/etc/glance/metadefs/',
    help: 'Where "diskmorph metadefs load" finds files of metadata definitions unless it is told: a directory of *.json, or one file.',
  },
};

/** The options about metadata definitions. */
export function readMetadefs(reader: ValueReader): MetadefConfiguration {
  return { sourcePath: reader.read(METADEF_OPTIONS.sourcePath) ?? '' };
}
