import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { fieldReader } from '../../bytes/numbers.ts';
import { imageInfo, tableFindings, truncationFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import type { Examination, Format } from '../../image/format.ts';
import { refuseUnsafe } from '../../image/refusal.ts';
import type { CloopHeader } from './header.ts';
import { hasSignature, OFFSETS_AT, readHeader } from './header.ts';
import { openCloop } from './open.ts';

/** Compressed loop images of old live systems. Read, not written. */
export const cloop: Format = {
  name: 'cloop',
  aliases: [],
  probe: ({ head }) => hasSignature(head),
  examine,
  async open(source, { codecs }) {
    const { info, findings } = await examine(source);
    refuseUnsafe('cloop', findings);
    return openCloop(source, await readHeader(source), { info, codecs });
  },
};

const MAX_OFFSETS_BYTES = 64 * 2 ** 20;
const MAX_BLOCK_SIZE = 64 * 2 ** 20;

async function examine(source: ByteSource): Promise<Examination> {
  const header = await readHeader(source);
  const info = imageInfo('cloop', header.blockSize * header.blockCount, {
    subformat: 'V2.0',
    unitSize: header.blockSize,
    details: { blockSize: header.blockSize, blockCount: header.blockCount },
  });
  return { info, findings: [...headerFindings(source.size, header), ...(await endFindings(source, header))] };
}

function headerFindings(fileSize: number, header: CloopHeader): readonly Finding[] {
  const table = {
    structure: 'block offsets',
    offset: OFFSETS_AT,
    length: offsetsBytes(header),
    maxLength: MAX_OFFSETS_BYTES,
  };
  const findings = [...tableFindings(fileSize, table)];
  if (header.blockSize === 0 || header.blockSize % 512 !== 0 || header.blockSize > MAX_BLOCK_SIZE) {
    const message = `A block size of ${header.blockSize} bytes is not a multiple of 512 up to ${MAX_BLOCK_SIZE}`;
    findings.push({ code: 'header-inconsistent', severity: 'unsafe', offset: OFFSETS_AT - 8, message });
  }
  return findings;
}

function offsetsBytes(header: CloopHeader): number {
  return (header.blockCount + 1) * 8;
}

/** The last offset is the end of the last block: the file must reach it. */
async function endFindings(source: ByteSource, header: CloopHeader): Promise<readonly Finding[]> {
  const at = OFFSETS_AT + header.blockCount * 8;
  if (at + 8 > source.size) return [];
  const fields = fieldReader(await readBytes(source, at, 8), 'big', {
    format: 'cloop',
    structure: 'block offsets',
    offset: at,
  });
  return truncationFindings(source.size, fields.u64(0, 'end of the last block'));
}
