import type { SharedWorkConfiguration } from './database.ts';
import { DATABASE_OPTIONS } from './database-options.ts';
import type { IniEntry } from './ini.ts';
import type { OptionValues } from './options.ts';
import { OPTIONS } from './options.ts';
import { S3_STORE_OPTIONS, STAGING_STORE } from './store-options.ts';
import type { S3StoreSettings } from './store-settings.ts';
import { readS3Server } from './stores.ts';
import type { ValueReader } from './value-source.ts';

const { name: DATADIR } = OPTIONS.stagingStoreDatadir;
const { name: HOST } = S3_STORE_OPTIONS.host;

/** What is known when the place of staged data is read. */
export interface StagingSurroundings extends Pick<OptionValues, 'stagingStoreDatadir'> {
  readonly scope: SharedWorkConfiguration['stagingScope'];
  readonly entries: readonly IniEntry[];
}

/** The server that staged data goes to; undefined when it goes to a directory. */
export function readStagingServer(
  reader: ValueReader,
  { stagingStoreDatadir: directory, scope, entries }: StagingSurroundings,
): S3StoreSettings | undefined {
  const own = entries.filter(({ section }) => section === STAGING_STORE);
  refuseOthers(reader, own);
  const isWanted = own.some(({ key }) => key.startsWith('s3_store_'));
  if (!isWanted && reader.read(S3_STORE_OPTIONS.host, STAGING_STORE) === undefined) return undefined;
  if (directory !== undefined) {
    const message = `cannot be used together with ${HOST}: staged data lies in one place`;
    reader.problems.push({ section: STAGING_STORE, option: DATADIR, value: directory, message });
  }
  if (scope === 'node') {
    const { section, name: option } = DATABASE_OPTIONS.stagingScope;
    const message = `cannot be used together with [${STAGING_STORE}] ${HOST}: every machine reaches what is staged there`;
    reader.problems.push({ section, option, value: 'node', message });
  }
  return readS3Server(STAGING_STORE, reader);
}

/** Options that would put staged data somewhere else: taken for nothing they would mislead. */
function refuseOthers(reader: ValueReader, own: readonly IniEntry[]): void {
  for (const { key: option, origin } of own) {
    if (!/^(?:swift|rbd|cinder)_store_/.test(option)) continue;
    const message = `staged data lies in a directory or on an S3 server: set ${DATADIR} or ${HOST}`;
    reader.problems.push({ section: STAGING_STORE, option, origin, message });
  }
}
