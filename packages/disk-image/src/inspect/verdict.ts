import type { ImageInfo } from '../image/disk-image.ts';
import type { Finding, Severity } from '../image/finding.ts';
import type { FormatName } from '../image/format-name.ts';
import type { WrapperKind } from '../wrappers/wrapper-kind.ts';
import type { PartitionTable } from './partition-table.ts';

/** What a file is and whether it may be processed: plain data, fit for JSON. */
export interface Verdict {
  /** The gravest severity among the findings. */
  readonly verdict: 'safe' | 'warning' | 'unsafe';
  /** Detected by signature; `raw` when no signature matched. */
  readonly format: FormatName;
  readonly subformat?: string;
  /** What the caller said the file is, as given. */
  readonly declared?: string;
  /** Everything whose signature the file bears: format names, then `iso9660`, `zip` and the like. */
  readonly candidates: readonly string[];
  /** Bytes of the guest disk; absent when the header could not be understood. */
  readonly virtualSize?: number;
  readonly fileSize: number;
  /** What the metadata says; absent when the header could not be understood. */
  readonly info?: ImageInfo;
  /** Gravest first; codes are explained in `docs/findings.md`. */
  readonly findings: readonly Finding[];
  /** How the guest disk is partitioned, when it is and can be read. */
  readonly partitionTable?: PartitionTable;
  readonly contents?: Contents;
  /** What the image was taken out of; then all else is about the image alone. */
  readonly packed?: Packed;
}

/** The containers around an image. */
export interface Packed {
  /** From the innermost. */
  readonly wrappers: readonly WrapperKind[];
  /** The image's name in the innermost archive that has names. */
  readonly name?: string;
  /** Bytes of the outermost container. */
  readonly fileSize: number;
}

/** What the guest bytes (or, for `wrapper`, the file) hold as a whole. */
export type Contents =
  | {
      readonly kind: 'iso9660';
      readonly volumeId: string;
      /** Bytes of the volume. */
      readonly volumeSize: number;
      readonly joliet: boolean;
      /** True when the volume has an El Torito boot record. */
      readonly bootable: boolean;
    }
  | { readonly kind: 'wrapper'; readonly wrapper: WrapperKind };

/** The verdict with more findings. */
export function withFindings(verdict: Verdict, findings: readonly Finding[]): Verdict {
  const all = [...verdict.findings, ...findings];
  return { ...verdict, verdict: overallVerdict(all), findings: sortedFindings(all) };
}

const GRAVITY: Readonly<Record<Severity, number>> = { unsafe: 0, warning: 1, info: 2 };
/** More findings than this tell nobody anything; the rest is counted. */
const MAX_FINDINGS = 100;

/** The findings, gravest first, at most `MAX_FINDINGS` and one that counts the rest. */
export function sortedFindings(findings: readonly Finding[]): readonly Finding[] {
  const sorted = [...findings].sort((a, b) => GRAVITY[a.severity] - GRAVITY[b.severity]);
  if (sorted.length <= MAX_FINDINGS) return sorted;
  const message = `${sorted.length - MAX_FINDINGS} more findings are not shown`;
  return [...sorted.slice(0, MAX_FINDINGS), { code: 'more-findings', severity: 'info', message }];
}

/** `unsafe` or `warning` when any finding is, else `safe`. */
export function overallVerdict(findings: readonly Finding[]): Verdict['verdict'] {
  if (findings.some((finding) => finding.severity === 'unsafe')) return 'unsafe';
  return findings.some((finding) => finding.severity === 'warning') ? 'warning' : 'safe';
}
