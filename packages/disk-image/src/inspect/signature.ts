import type { ByteSource } from '../bytes/byte-source.ts';
import { readBytes } from '../bytes/byte-source.ts';
import type { Finding } from '../image/finding.ts';
import type { Format, ProbeInput } from '../image/format.ts';
import { PROBE_HEAD_SIZE, PROBE_TAIL_SIZE } from '../image/format.ts';
import { hasGptSignature } from './gpt.ts';
import type { IsoVolume } from './iso9660.ts';
import { findIsoVolume } from './iso9660.ts';
import { MBR_SECTOR, parseMbr } from './mbr.ts';
import type { WrapperKind } from '../wrappers/wrapper-kind.ts';
import { hasZipEnd, wrapperAtStart } from '../wrappers/wrapper-kind.ts';

/** Everything that the beginning and the end of a file claim it to be. */
export interface Signatures {
  /** Formats whose signature stands at the beginning, then those known by the end alone; raw is not among them. */
  readonly formats: readonly Format[];
  readonly iso: IsoVolume | undefined;
  readonly wrapper: WrapperKind | undefined;
  /** What the signatures are, for people and programs. */
  readonly candidates: readonly string[];
  /** `several-formats`, when they contradict each other. */
  readonly findings: readonly Finding[];
}

const NOTHING = new Uint8Array(0);

/** The two ends of `source` that probes look at. */
export async function readProbeInput(source: ByteSource): Promise<ProbeInput> {
  const tailSize = Math.min(source.size, PROBE_TAIL_SIZE);
  return {
    size: source.size,
    head: await readBytes(source, 0, Math.min(source.size, PROBE_HEAD_SIZE)),
    tail: await readBytes(source, source.size - tailSize, tailSize),
  };
}

/** The formats whose signature `input` bears, raw (which every file matches) left out. */
export function matchingFormats(input: ProbeInput, formats: readonly Format[]): readonly Format[] {
  return formats.filter((format) => format.name !== 'raw' && format.probe(input));
}

/** Reads all signatures, and judges whether they can stand together in one honest file. */
export function readSignatures(input: ProbeInput, formats: readonly Format[]): Signatures {
  const matching = matchingFormats(input, formats);
  const atStart = matchingFormats({ ...input, tail: NOTHING }, matching);
  const atEnd = matching.filter((format) => !atStart.includes(format));
  const iso = findIsoVolume(input.head);
  const startWrapper = wrapperAtStart(input.head);
  const zipEnd = startWrapper !== 'zip' && hasZipEnd(input);
  const candidates = [
    ...[...atStart, ...atEnd].map((format) => format.name),
    ...(iso === undefined ? [] : ['iso9660']),
    ...(startWrapper === undefined ? [] : [startWrapper]),
    ...(zipEnd ? ['zip'] : []),
  ];
  const partitioned = atStart.length > 0 && isPartitioned(input.head);
  const conflicts = new Set([...candidates, ...(partitioned ? ['a partition table'] : [])]);
  for (const compatible of compatibleNames({ atStart, atEnd, iso, startWrapper })) conflicts.delete(compatible);
  return {
    formats: [...atStart, ...atEnd],
    iso,
    wrapper: startWrapper ?? (zipEnd ? 'zip' : undefined),
    candidates,
    findings: conflicts.size > 1 ? [severalFormats([...conflicts])] : [],
  };
}

function isPartitioned(head: Uint8Array): boolean {
  return parseMbr(head.subarray(0, MBR_SECTOR)) !== undefined || hasGptSignature(head);
}

/**
 * What may stand beside another signature in an honest file: a format known by its end alone keeps guest bytes at the
 * beginning, which may be an ISO volume; a compressed Apple image begins with the compressed stream of its first block.
 */
function compatibleNames(found: {
  readonly atStart: readonly Format[];
  readonly atEnd: readonly Format[];
  readonly iso: IsoVolume | undefined;
  readonly startWrapper: WrapperKind | undefined;
}): readonly string[] {
  if (found.atStart.length > 0 || found.atEnd.length !== 1) return [];
  const isStream = found.startWrapper === 'bz2' || found.startWrapper === 'xz';
  const isApple = found.atEnd[0]?.name === 'dmg';
  return [...(found.iso === undefined ? [] : ['iso9660']), ...(isStream && isApple ? [found.startWrapper ?? ''] : [])];
}

function severalFormats(names: readonly string[]): Finding {
  const message = `The file bears the signatures of ${names.join(' and ')}: programs may take it for different disks`;
  return { code: 'several-formats', severity: 'unsafe', offset: 0, message };
}
