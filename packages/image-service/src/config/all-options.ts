import { ACCESS_OPTIONS } from './access-options.ts';
import { CONVERSION_OPTIONS } from './conversion-options.ts';
import { DATABASE_OPTIONS } from './database-options.ts';
import { IMPORT_OPTIONS } from './import-options.ts';
import { LIMIT_OPTIONS } from './limit-options.ts';
import { METADEF_OPTIONS } from './metadef-options.ts';
import { OPERATOR_OPTIONS } from './operator-options.ts';
import { SAFETY_OPTIONS } from './safety-options.ts';
import type { OptionDefinition } from './options.ts';
import { OPTIONS } from './options.ts';
import { STAGING_SERVER_OPTIONS } from './store-options.ts';

/** Every option but those of single stores, in the order of the sample file. */
export const ALL_OPTIONS: readonly OptionDefinition<unknown>[] = [
  ...Object.values(OPTIONS),
  ...STAGING_SERVER_OPTIONS,
  ...Object.values(DATABASE_OPTIONS),
  ...Object.values(ACCESS_OPTIONS),
  ...Object.values(CONVERSION_OPTIONS),
  ...Object.values(IMPORT_OPTIONS),
  ...Object.values(LIMIT_OPTIONS),
  ...Object.values(METADEF_OPTIONS),
  ...Object.values(SAFETY_OPTIONS),
  ...Object.values(OPERATOR_OPTIONS),
];
