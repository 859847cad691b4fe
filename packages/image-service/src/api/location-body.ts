import type { WantedPlace } from '../import/image-places.ts';
import type { ClaimedDigests } from '../import/location-flow.ts';
import { badRequest } from './http-error.ts';
import { isObject } from './json-body.ts';

/** Digests that a caller says the data has; `checksum` only where it was said. Hex. */
export interface ValidationData extends ClaimedDigests {
  readonly checksum?: string;
}

/** A location as callers write it. */
export interface LocationBody extends WantedPlace {
  readonly validation?: ValidationData;
}

const MD5 = /^[0-9a-f]{32}$/i;
const SHA512 = /^[0-9a-f]{128}$/i;

/** `{"url", "metadata"?, "validation_data"?}`. Throws 400. */
export function locationBody(value: unknown): LocationBody {
  if (!isObject(value)) throw badRequest('A location is an object with a "url"');
  const { url, metadata = {}, validation_data: validation } = value;
  if (typeof url !== 'string' || url === '') throw badRequest('A location needs a "url"');
  if (!isObject(metadata)) throw badRequest('The "metadata" of a location is an object');
  return { url, metadata, ...(hasData(validation) ? { validation: validationData(validation) } : {}) };
}

function hasData(validation: unknown): boolean {
  return (
    validation !== undefined && validation !== null && !(isObject(validation) && Object.keys(validation).length === 0)
  );
}

/** `{"os_hash_algo": "sha512", "os_hash_value", "checksum"?}`. Throws 400. */
function validationData(value: unknown): ValidationData {
  if (!isObject(value)) throw badRequest('"validation_data" is an object');
  const { os_hash_algo: algorithm, os_hash_value: digest, checksum } = value;
  if (algorithm !== 'sha512') throw badRequest('The os_hash_algo of validation_data must be sha512');
  if (typeof digest !== 'string' || !SHA512.test(digest)) {
    throw badRequest('The os_hash_value of validation_data must be a SHA-512 in hex');
  }
  if (checksum === undefined) return { osHashValue: digest.toLowerCase() };
  if (typeof checksum !== 'string' || !MD5.test(checksum)) {
    throw badRequest('The checksum of validation_data must be an MD5 in hex');
  }
  return { osHashValue: digest.toLowerCase(), checksum: checksum.toLowerCase() };
}
