import { ImageError } from '../../errors.ts';
import type { ImageReference } from '../../image/reference.ts';
import type { Qcow2Header } from './header.ts';
import { encodeHeader, INCOMPATIBLE } from './header.ts';
import type { FeatureName } from './header-extension.ts';
import { BACKING_FORMAT, DATA_FILE_NAME, encodeExtension, encodeFeatureNameTable } from './header-extension.ts';
import { MAX_FILE_NAME_LENGTH, MAX_FORMAT_NAME_LENGTH } from './limits.ts';

const INCOMPATIBLE_KIND = 0;

/**
 * The used part of a new image's first cluster: header, the backing image's format, the names of the features that a
 * reader must know, the backing image's name. Throws `out_of_bounds` when the names are too long for it.
 */
export function headerCluster(
  header: Qcow2Header,
  names: { readonly backing: ImageReference | undefined; readonly dataFile: string | undefined },
): Uint8Array {
  const { backing } = names;
  const dataFile = new TextEncoder().encode(names.dataFile ?? '');
  const name = new TextEncoder().encode(backing?.name ?? '');
  const format = new TextEncoder().encode(backing?.format ?? '');
  if (name.length > MAX_FILE_NAME_LENGTH) throw tooLong('name', name.length, MAX_FILE_NAME_LENGTH);
  if (format.length > MAX_FORMAT_NAME_LENGTH) throw tooLong('format', format.length, MAX_FORMAT_NAME_LENGTH);
  const extensions = [
    ...(format.length === 0 ? [] : [encodeExtension({ type: BACKING_FORMAT, data: format })]),
    ...(dataFile.length === 0 ? [] : [encodeExtension({ type: DATA_FILE_NAME, data: dataFile })]),
    featureNames(header, format.length + dataFile.length + name.length > 0),
  ];
  const before = [encodeHeader(header), ...extensions].reduce((sum, part) => sum + part.length, 0);
  const clusterSize = 2 ** header.clusterBits;
  if (dataFile.length > MAX_FILE_NAME_LENGTH) throw tooLong('name', dataFile.length, MAX_FILE_NAME_LENGTH);
  if (before + name.length > clusterSize) throw tooLong('name', name.length, clusterSize - before);
  const fields = name.length === 0 ? {} : { backingFileOffset: before, backingFileSize: name.length };
  return joined([encodeHeader({ ...header, ...fields }), ...extensions, name]);
}

/** The table and the end marker; without features the marker alone, where something follows. */
function featureNames({ incompatibleFeatures }: Qcow2Header, isFollowed: boolean): Uint8Array {
  const features: FeatureName[] = [];
  if ((incompatibleFeatures & INCOMPATIBLE.externalDataFile) !== 0n) {
    features.push({ kind: INCOMPATIBLE_KIND, bit: 2, name: 'external data file' });
  }
  if ((incompatibleFeatures & INCOMPATIBLE.compressionType) !== 0n) {
    features.push({ kind: INCOMPATIBLE_KIND, bit: 3, name: 'compression type' });
  }
  if ((incompatibleFeatures & INCOMPATIBLE.extendedL2) !== 0n) {
    features.push({ kind: INCOMPATIBLE_KIND, bit: 4, name: 'extended L2 entries' });
  }
  return features.length === 0 && !isFollowed ? new Uint8Array() : encodeFeatureNameTable(features);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function tooLong(what: 'name' | 'format', length: number, most: number): ImageError {
  return new ImageError('out_of_bounds', `The ${what} of the backing image has ${length} bytes; ${most} fit`, {
    format: 'qcow2',
  });
}
