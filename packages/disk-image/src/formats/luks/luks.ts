import type { ByteSource } from '../../bytes/byte-source.ts';
import { imageInfo } from '../../image/examination.ts';
import type { Details, Finding } from '../../image/finding.ts';
import type { Examination, Format } from '../../image/format.ts';
import type { Luks1Header, Luks2Header } from './header.ts';
import { hasMagic, readHeader } from './header.ts';
import { readDataSegment } from './metadata.ts';

/** Volumes encrypted by LUKS 1 or 2. Recognised, not read. */
export const luks: Format = { name: 'luks', aliases: [], probe: ({ head }) => hasMagic(head), examine };

interface Payload {
  readonly offset: number;
  readonly size: number | undefined;
  readonly encryption: string;
  readonly details: Details;
}

async function examine(source: ByteSource): Promise<Examination> {
  const header = await readHeader(source);
  const payload = header.version === 1 ? payload1(header) : await payload2(source, header);
  const virtualSize = payload.size ?? Math.max(0, source.size - payload.offset);
  const info = imageInfo('luks', virtualSize, {
    subformat: `LUKS${header.version}`,
    encryption: payload.encryption,
    details: { uuid: header.uuid, payloadOffset: payload.offset, ...payload.details },
  });
  return { info, findings: payloadFindings(source.size, payload) };
}

function payload1(header: Luks1Header): Payload {
  return {
    offset: header.payloadOffset,
    size: undefined,
    encryption: header.cipher,
    details: { hash: header.hash, keyBytes: header.keyBytes, activeKeySlots: header.activeKeySlots },
  };
}

async function payload2(source: ByteSource, header: Luks2Header): Promise<Payload> {
  const segment = await readDataSegment(source, header);
  return { ...segment, details: { label: header.label, checksumAlgorithm: header.checksumAlgorithm } };
}

function payloadFindings(fileSize: number, payload: Payload): readonly Finding[] {
  const findings: Finding[] = [
    {
      code: 'encrypted',
      severity: 'unsafe',
      offset: 0,
      message: `The guest bytes are encrypted with ${JSON.stringify(payload.encryption)}`,
    },
  ];
  const end = payload.offset + (payload.size ?? 0);
  if (end > fileSize) {
    findings.push({
      code: 'truncated',
      severity: 'unsafe',
      offset: fileSize,
      message: `The encrypted bytes lie up to byte ${end}, but the file ends at ${fileSize}`,
    });
  }
  return findings;
}
