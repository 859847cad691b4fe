import type { FormatName } from '../image/format-name.ts';
import type { Candidate } from './candidate.ts';
import { closedWrapper, packingOf } from './candidate.ts';
import type { Breach } from './profile.ts';

/** A format that a target takes, and of which kinds when not all. */
export interface AcceptedFormat {
  readonly format: FormatName;
  readonly subformats?: readonly string[];
}

/** Broken by every other format, and by other kinds of these. */
export function otherFormatThan(...accepted: readonly AcceptedFormat[]): Breach {
  return ({ format, subformat }) => {
    const found = accepted.find((one) => one.format === format);
    if (found === undefined) return `is ${format}`;
    if (found.subformats === undefined || found.subformats.includes(subformat ?? '')) return undefined;
    return `is ${format} of the kind ${subformat ?? 'unknown'}`;
  };
}

/** Broken by images of these formats and kinds. */
export function formatAmong(...refused: readonly AcceptedFormat[]): Breach {
  const isOther = otherFormatThan(...refused);
  return (candidate) => {
    if (isOther(candidate) !== undefined) return undefined;
    return candidate.subformat === undefined
      ? `is ${candidate.format}`
      : `is ${candidate.subformat} ${candidate.format}`;
  };
}

/** Broken by a guest disk that is no whole multiple of so many bytes. */
export function notMultipleOf(bytes: number): Breach {
  return ({ virtualSize }) =>
    virtualSize === undefined || virtualSize % bytes === 0
      ? undefined
      : `has a disk of ${virtualSize} bytes, which is ${virtualSize % bytes} more than a whole multiple of ${bytes}`;
}

/** Broken by a guest disk of more than so many bytes, of one format when it is given. */
export function diskLargerThan(bytes: number, format?: FormatName): Breach {
  return (candidate) => {
    if (format !== undefined && candidate.format !== format) return undefined;
    const { virtualSize } = candidate;
    return virtualSize !== undefined && virtualSize > bytes ? `has a disk of ${virtualSize} bytes` : undefined;
  };
}

/** Broken by a guest disk of fewer than so many bytes. */
export function diskSmallerThan(bytes: number): Breach {
  return ({ virtualSize }) =>
    virtualSize !== undefined && virtualSize < bytes ? `has a disk of ${virtualSize} bytes` : undefined;
}

/** Broken by a fact of one format that is not one of the values: `key` as the format's `details` name it. */
export function detailOtherThan(
  format: FormatName,
  key: string,
  values: readonly (string | number | boolean)[],
): Breach {
  return (candidate) => {
    const found = candidate.format === format ? candidate.info?.details[key] : undefined;
    if (found === undefined || values.some((value) => value === found)) return undefined;
    return `has ${key} ${String(found)}`;
  };
}

/** Broken by a container that is not one of these. An image that is not packed keeps the rule. */
export function packedOtherThan(...packings: readonly string[]): Breach {
  return (candidate) => {
    const packing = packingOf(candidate);
    return packing === undefined || packings.includes(packing) ? undefined : `is packed as ${packing}`;
  };
}

/** Broken by an image that is not packed in this way, such as `tar in gz`. */
export function notPackedAs(wanted: string): Breach {
  return (candidate) => {
    const packing = packingOf(candidate);
    if (packing === undefined) return 'is not packed';
    const mayBe = packing === wanted || (closedWrapper(candidate) !== undefined && wanted.endsWith(` in ${packing}`));
    return mayBe ? undefined : `is packed as ${packing}`;
  };
}

/** Broken by another name in the archive. */
export function otherNameThan(wanted: string): Breach {
  return ({ packed }) => {
    const name = packed?.name ?? wanted;
    return name === wanted ? undefined : `is called ${JSON.stringify(name)}`;
  };
}

/** Broken by encrypted guest bytes. */
export const encrypted: Breach = ({ info }) =>
  info?.encryption === undefined ? undefined : `is encrypted (${info.encryption})`;

/** Broken by an image that names other files: one file alone is not the whole disk. */
export const incomplete: Breach = ({ info }) => {
  const kinds = [...new Set((info?.references ?? []).map((reference) => reference.kind))];
  return kinds.length === 0 ? undefined : `names other files that hold parts of the disk (${kinds.join(', ')})`;
};

/** Findings of an inspection that other rules tell in better words. */
const TOLD_ELSEWHERE: ReadonlySet<string> = new Set([
  'backing-file',
  'data-file',
  'foreign-extent',
  'differencing-parent',
  'encrypted',
]);

/** Broken by unsafe findings of the inspection. */
export const unsound: Breach = ({ findings }: Candidate) => {
  const unsafe = findings.filter(({ severity, code }) => severity === 'unsafe' && !TOLD_ELSEWHERE.has(code));
  const codes = [...new Set(unsafe.map(({ code }) => code))];
  return codes.length === 0 ? undefined : `was found unsafe to use (${codes.join(', ')})`;
};

/** Broken by an ISO 9660 volume. */
export const isoVolume: Breach = ({ contents }) =>
  contents?.kind === 'iso9660' ? 'holds an ISO 9660 volume, not a disk' : undefined;

/** Broken by a disk without a partition table. */
export const unpartitioned: Breach = ({ partitionTable }) =>
  partitionTable === undefined ? 'has no partition table' : undefined;

/** Broken by a master boot record that names partitions beside a GUID partition table. */
export const hybridPartitions: Breach = ({ partitionTable }) =>
  partitionTable?.kind === 'hybrid' ? 'has a hybrid partition table' : undefined;

/** Broken by a file with holes. */
export const sparseFile: Breach = ({ allocatedBytes, fileSize }) =>
  allocatedBytes !== undefined && allocatedBytes < fileSize
    ? `is a sparse file: ${allocatedBytes} of its ${fileSize} bytes take space`
    : undefined;
