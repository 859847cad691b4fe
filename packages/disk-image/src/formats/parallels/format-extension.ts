import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { fieldReader } from '../../bytes/numbers.ts';
import type { Finding } from '../../image/finding.ts';
import type { ParallelsHeader } from './header.ts';
import { SECTOR } from './header.ts';

const MAGIC = 0xab234cef23dcea87n;
/** Magic and MD5 checksum of the extension. */
const EXTENSION_HEADER_BYTES = 24;
const FEATURE_HEADER_BYTES = 24;
const DIRTY_BITMAP = 0x20385fae252cb34an;
/** "The feature is necessary": a program that does not know it must not open the image. */
const FLAG_NECESSARY = 1n;
const MAX_FEATURES = 64;

/**
 * What the format extension asks of a reader: `unknown-feature` for a necessary one that is not known, `bitmaps` for dirty
 * bitmaps, `corrupt-table` when it can not be followed. Parallels Expandable Image File Format, "Format Extension".
 */
export async function extensionFindings(source: ByteSource, header: ParallelsHeader): Promise<readonly Finding[]> {
  const start = header.extensionSector * SECTOR;
  const length = header.blockSectors * SECTOR;
  if (header.extensionSector === 0 || length < EXTENSION_HEADER_BYTES || start + length > source.size) return [];
  const place = { format: 'parallels', structure: 'format extension' };
  const magic = fieldReader(await readBytes(source, start, 8), 'little', place).bits64(0);
  if (magic !== MAGIC) return [broken(start, 'does not begin with its magic number')];
  const findings: Finding[] = [];
  let at = EXTENSION_HEADER_BYTES;
  for (let count = 0; count < MAX_FEATURES; count++) {
    if (at + FEATURE_HEADER_BYTES > length) return [...findings, broken(start + at, 'ends without a closing feature')];
    const feature = fieldReader(await readBytes(source, start + at, FEATURE_HEADER_BYTES), 'little', place);
    const kind = feature.bits64(0);
    if (kind === 0n) return findings;
    findings.push(...featureFindings(kind, feature.bits64(8), start + at));
    at += FEATURE_HEADER_BYTES + Math.ceil(feature.u32(16) / 8) * 8;
  }
  return [...findings, broken(start, `has more than ${MAX_FEATURES} features`)];
}

function featureFindings(kind: bigint, flags: bigint, offset: number): readonly Finding[] {
  if (kind === DIRTY_BITMAP) {
    return [{ code: 'bitmaps', severity: 'info', offset, message: 'The image has a persistent dirty bitmap' }];
  }
  if ((flags & FLAG_NECESSARY) === 0n) return [];
  const message = `The image needs the feature 0x${kind.toString(16)}, which is not known`;
  return [{ code: 'unknown-feature', severity: 'unsafe', offset, message }];
}

function broken(offset: number, how: string): Finding {
  return { code: 'corrupt-table', severity: 'unsafe', offset, message: `The format extension ${how}` };
}
