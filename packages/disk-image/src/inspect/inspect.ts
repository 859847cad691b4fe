import type { ByteSource } from '../bytes/byte-source.ts';
import type { Codecs } from '../bytes/codecs.ts';
import { ImageError } from '../errors.ts';
import type { Finding } from '../image/finding.ts';
import type { Examination, Format } from '../image/format.ts';
import { boundedSource } from './bounded-source.ts';
import { declaredFindings, fileNameFindings } from './declared.ts';
import { isPackedByNature } from './format-names.ts';
import type { GuestReading } from './guest.ts';
import { readGuest } from './guest.ts';
import type { InspectLimits } from './limits.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { Signatures } from './signature.ts';
import { readProbeInput, readSignatures } from './signature.ts';
import { virtualSizeFindings } from './size-bomb.ts';
import type { Contents, Verdict } from './verdict.ts';
import { overallVerdict, sortedFindings } from './verdict.ts';

/** What an inspection needs besides the file. */
export interface InspectOptions {
  readonly codecs: Codecs;
  /** Every known format, `raw` among them; given, because this room knows none. */
  readonly formats: readonly Format[];
  /** What somebody said the file is: a format name, an alias, or what image services call it (`iso`, `ami`, `gpt`). */
  readonly declared?: string;
  /** The file's name; an ending that means another format is noted, never believed. */
  readonly fileName?: string;
  readonly limits?: Partial<InspectLimits>;
  readonly signal?: AbortSignal;
}

/**
 * What `source` is, and whether it may be processed. Reads a bounded number of bytes, opens no other file, leaves the
 * source open. Bad input becomes findings; throws only `io` and `aborted`.
 */
export async function inspect(source: ByteSource, options: InspectOptions): Promise<Verdict> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const bounded = boundedSource(source, limits.maxReadBytes, options.signal);
  const signatures = readSignatures(await readProbeInput(bounded), options.formats);
  const format = signatures.formats[0] ?? rawFormat(options.formats);
  const examined = await examine(bounded, format);
  const guest =
    examined.info === undefined
      ? { findings: [] }
      : await readGuest(bounded, format, { codecs: options.codecs, formats: options.formats, limits });
  const detected = { format, hasIsoVolume: guest.iso !== undefined || signatures.iso !== undefined };
  const virtualSize = examined.info?.virtualSize;
  return assembled(source, options, { format, signatures, examined, guest }, [
    ...emptyFindings(source),
    ...declaredFindings(options.declared, detected, options.formats),
    ...fileNameFindings(options.fileName, detected, options.formats),
    ...signatures.findings,
    ...wrappedFindings(signatures, format, options),
    ...examined.findings,
    ...(virtualSize === undefined ? [] : virtualSizeFindings(virtualSize, source.size, limits)),
    ...guest.findings,
  ]);
}

interface Observations {
  readonly format: Format;
  readonly signatures: Signatures;
  readonly examined: Examined;
  readonly guest: GuestReading;
}

function assembled(
  source: ByteSource,
  options: InspectOptions,
  seen: Observations,
  findings: readonly Finding[],
): Verdict {
  const { info } = seen.examined;
  const contents = contentsOf(seen);
  return {
    verdict: overallVerdict(findings),
    format: seen.format.name,
    ...(info?.subformat === undefined ? {} : { subformat: info.subformat }),
    ...(options.declared === undefined ? {} : { declared: options.declared }),
    candidates: seen.signatures.candidates,
    ...(info === undefined ? {} : { virtualSize: info.virtualSize, info }),
    fileSize: source.size,
    findings: sortedFindings(findings),
    ...(seen.guest.partitionTable === undefined ? {} : { partitionTable: seen.guest.partitionTable }),
    ...(contents === undefined ? {} : { contents }),
  };
}

function contentsOf({ format, signatures, guest }: Observations): Contents | undefined {
  if (guest.iso !== undefined) return guest.iso;
  if (signatures.wrapper !== undefined && format.name === 'raw')
    return { kind: 'wrapper', wrapper: signatures.wrapper };
  return undefined;
}

function rawFormat(formats: readonly Format[]): Format {
  const raw = formats.find((format) => format.name === 'raw');
  if (raw === undefined) throw new Error('assertion failed: the list of formats has raw in it');
  return raw;
}

interface Examined {
  readonly info?: Examination['info'];
  readonly findings: readonly Finding[];
}

async function examine(source: ByteSource, format: Format): Promise<Examined> {
  try {
    return await format.examine(source);
  } catch (error) {
    if (!(error instanceof ImageError) || error.code === 'io' || error.code === 'aborted') throw error;
    const message = `The ${format.name} header can not be understood (${error.code}): ${error.message}`;
    const place = error.offset === undefined ? {} : { offset: error.offset };
    return { findings: [{ code: 'unreadable-header', severity: 'unsafe', ...place, message }] };
  }
}

function wrappedFindings(signatures: Signatures, format: Format, options: InspectOptions): readonly Finding[] {
  const { wrapper } = signatures;
  if (wrapper === undefined || format.name !== 'raw') return [];
  const isExpected = isPackedByNature(options.declared, options.formats);
  const message = `The file is a ${wrapper} container; a disk image may be inside it`;
  return [{ code: 'wrapped', severity: isExpected ? 'info' : 'warning', offset: 0, message }];
}

function emptyFindings(source: ByteSource): readonly Finding[] {
  return source.size > 0 ? [] : [{ code: 'empty-file', severity: 'warning', offset: 0, message: 'The file is empty' }];
}
