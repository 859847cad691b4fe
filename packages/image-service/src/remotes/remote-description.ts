import { z } from 'zod';
import { StagingError } from '../staging/errors.ts';

/** What another image service says of an image. */
export interface RemoteDescription {
  readonly diskFormat: string;
  readonly containerFormat: string;
  /** Bytes of the data. */
  readonly sizeBytes: number;
  /** MD5 in hex; null where the service does not know it. */
  readonly md5: string | null;
  /** SHA-512 in hex; null where the service has none of that kind. */
  readonly sha512: string | null;
  /** Those whose names begin as wanted. */
  readonly properties: Readonly<Record<string, string>>;
}

const DOCUMENT = z.looseObject({
  status: z.string(),
  disk_format: z.string(),
  container_format: z.string(),
  size: z.int().nonnegative(),
  checksum: z.string().nullish(),
  os_hash_algo: z.string().nullish(),
  os_hash_value: z.string().nullish(),
});

/** Names that belong to a service, and are not taken over whatever is wanted. */
const NEVER_TAKEN = /^(?:os_glance|source_(?:format|size|hash|host)$)/;
/** Attributes of every image: no properties, whatever is wanted. */
const ATTRIBUTES: ReadonlySet<string> = new Set([
  'checksum',
  'container_format',
  'created_at',
  'deleted',
  'deleted_at',
  'direct_url',
  'disk_format',
  'file',
  'id',
  'location',
  'locations',
  'min_disk',
  'min_ram',
  'name',
  'os_hash_algo',
  'os_hash_value',
  'os_hidden',
  'owner',
  'protected',
  'schema',
  'self',
  'size',
  'status',
  'stores',
  'tags',
  'updated_at',
  'virtual_size',
  'visibility',
]);
/** More properties than an image may have anywhere are somebody's mistake. */
const MAX_PROPERTIES = 1000;
const MAX_NAME_LENGTH = 255;

/** The description in the document of an image. Throws `download_failed` for an image that cannot be had, and for what is no document. */
export function readDescription(text: string, prefixes: readonly string[]): RemoteDescription {
  const parsed = DOCUMENT.safeParse(parseJson(text));
  if (!parsed.success) {
    throw new StagingError('download_failed', 'The other image service does not describe the image as one with data');
  }
  const { data } = parsed;
  if (data.status !== 'active') {
    throw new StagingError('download_failed', `The image is ${data.status} there; only an active one can be had`);
  }
  return {
    diskFormat: data.disk_format,
    containerFormat: data.container_format,
    sizeBytes: data.size,
    md5: data.checksum ?? null,
    sha512: data.os_hash_algo === 'sha512' ? (data.os_hash_value ?? null) : null,
    properties: takenOver(data, prefixes),
  };
}

function takenOver(
  document: Readonly<Record<string, unknown>>,
  prefixes: readonly string[],
): Readonly<Record<string, string>> {
  const wanted = Object.entries(document).filter(
    (entry): entry is [string, string] =>
      typeof entry[1] === 'string' &&
      entry[0].length <= MAX_NAME_LENGTH &&
      prefixes.some((prefix) => entry[0].startsWith(prefix)) &&
      !ATTRIBUTES.has(entry[0]) &&
      !NEVER_TAKEN.test(entry[0]),
  );
  return Object.fromEntries(wanted.slice(0, MAX_PROPERTIES));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
