import type { ByteSource } from '../../bytes/byte-source.ts';
import { checkInside, readBytes } from '../../bytes/byte-source.ts';
import { asciiField } from '../../bytes/numbers.ts';
import { ImageError } from '../../errors.ts';
import type { Luks2Header } from './header.ts';

const JSON_AT = 4096;
/** The largest binary header and JSON area together that the specification allows. */
export const MAX_HEADER_SIZE: number = 4 * 2 ** 20;

/** What the first data segment of a LUKS2 volume says. */
export interface DataSegment {
  /** Byte offset of the encrypted guest bytes. */
  readonly offset: number;
  /** Bytes, undefined when the segment reaches to the end of the file ("dynamic"). */
  readonly size: number | undefined;
  readonly encryption: string;
}

/**
 * The first data segment named by the JSON area. LUKS2 On-Disk Format Specification 1.1.4, section 3.3.
 * Throws `corrupt` for a bad size or JSON that does not say it, `truncated` past the end of the file.
 */
export async function readDataSegment(source: ByteSource, header: Luks2Header): Promise<DataSegment> {
  if (header.headerSize <= JSON_AT || header.headerSize > MAX_HEADER_SIZE)
    throw badMetadata(`has the size ${header.headerSize}`);
  checkInside(source.size, 0, header.headerSize);
  const text = asciiField(await readBytes(source, JSON_AT, header.headerSize - JSON_AT));
  const segments = member(parsed(text), 'segments');
  const first = isRecord(segments) ? Object.values(segments)[0] : undefined;
  const offset = decimal(member(first, 'offset'));
  const size = member(first, 'size');
  const encryption = member(first, 'encryption');
  if (offset === undefined || typeof encryption !== 'string') throw badMetadata('names no encrypted segment');
  return { offset, size: size === 'dynamic' ? undefined : decimal(size), encryption };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badMetadata('is not JSON', error);
  }
}

function badMetadata(how: string, cause?: unknown): ImageError {
  return new ImageError('corrupt', `The metadata area ${how}`, {
    format: 'luks',
    structure: 'JSON area',
    offset: JSON_AT,
    cause,
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function member(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined;
}

/** The specification writes 64-bit numbers as decimal text. */
function decimal(value: unknown): number | undefined {
  const number = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  return Number.isSafeInteger(number) ? number : undefined;
}
