import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { fieldReader } from '../../bytes/numbers.ts';
import { imageInfo, shownText, tableFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import type { Examination, Format, ProbeInput } from '../../image/format.ts';
import type { ImageReference } from '../../image/reference.ts';
import { refuseUnsafe } from '../../image/refusal.ts';
import type { QcowHeader } from './header.ts';
import { l1Bytes, MAGIC, readBackingName, readHeader, VERSION } from './header.ts';
import { openQcow } from './open.ts';

/** QEMU's first copy-on-write format, version 1. Read, not written. */
export const qcow: Format = {
  name: 'qcow',
  aliases: ['qcow1'],
  probe,
  examine,
  async open(source, { codecs }) {
    const { info, findings } = await examine(source);
    refuseUnsafe('qcow', findings);
    return openQcow(source, await readHeader(source), { info, codecs });
  },
};

const MIN_CLUSTER_BITS = 9;
const MAX_CLUSTER_BITS = 16;
/** An L2 table holds 512 B to 64 KiB. */
const MIN_L2_BITS = 6;
const MAX_L2_BITS = 13;
/** 32 MiB of L1 table. */
const MAX_L1_BYTES = 32 * 2 ** 20;
const MAX_L1_BYTES_WALKED = 4 * 2 ** 20;
const ENCRYPTION_NAMES = ['', 'AES-CBC'];

function probe({ head }: ProbeInput): boolean {
  if (head.length < 8) return false;
  const fields = fieldReader(head, 'big', { format: 'qcow', structure: 'header' });
  return fields.u32(0) === MAGIC && fields.u32(4) === VERSION;
}

async function examine(source: ByteSource): Promise<Examination> {
  const header = await readHeader(source);
  const name = await readBackingName(source, header);
  const backing: ImageReference | undefined = name === undefined ? undefined : { kind: 'backing', name };
  const info = imageInfo('qcow', header.diskSize, {
    subformat: 'version 1',
    unitSize: hasSaneSizes(header) ? 2 ** header.clusterBits : 0,
    ...(backing === undefined ? {} : { backing, references: [backing] }),
    ...(header.cryptMethod === 0 ? {} : { encryption: encryptionName(header) }),
    details: { clusterBits: header.clusterBits, l2Bits: header.l2Bits },
  });
  return { info, findings: [...headerFindings(source.size, header, backing), ...(await l1Findings(source, header))] };
}

function headerFindings(fileSize: number, header: QcowHeader, backing: ImageReference | undefined): readonly Finding[] {
  const findings: Finding[] = [];
  if (backing !== undefined) {
    findings.push({
      code: 'backing-file',
      severity: 'unsafe',
      offset: header.backingNameOffset,
      message: `The image needs the backing file ${shownText(backing.name)}`,
    });
  }
  if (header.cryptMethod !== 0) {
    findings.push({
      code: 'encrypted',
      severity: 'unsafe',
      offset: 36,
      message: `The guest bytes are encrypted with ${encryptionName(header)}`,
    });
  }
  if (!hasSaneSizes(header)) {
    const message = `Cluster bits ${header.clusterBits} and L2 bits ${header.l2Bits} are not possible`;
    findings.push({ code: 'header-inconsistent', severity: 'unsafe', offset: 32, message });
    return findings;
  }
  const table = {
    structure: 'L1 table',
    offset: header.l1TableOffset,
    length: l1Bytes(header),
    maxLength: MAX_L1_BYTES,
  };
  return [...findings, ...tableFindings(fileSize, table)];
}

function encryptionName(header: QcowHeader): string {
  return ENCRYPTION_NAMES[header.cryptMethod] ?? `method ${header.cryptMethod}`;
}

function hasSaneSizes({ clusterBits, l2Bits }: QcowHeader): boolean {
  return (
    clusterBits >= MIN_CLUSTER_BITS && clusterBits <= MAX_CLUSTER_BITS && l2Bits >= MIN_L2_BITS && l2Bits <= MAX_L2_BITS
  );
}

async function l1Findings(source: ByteSource, header: QcowHeader): Promise<readonly Finding[]> {
  if (!hasSaneSizes(header)) return [];
  const length = l1Bytes(header);
  if (length > MAX_L1_BYTES_WALKED || header.l1TableOffset + length > source.size) return [];
  const bytes = await readBytes(source, header.l1TableOffset, length);
  const view = new DataView(bytes.buffer);
  let last = 0n;
  for (let at = 0; at < length; at += 8) {
    const l2TableOffset = view.getBigUint64(at);
    if (l2TableOffset > last) last = l2TableOffset;
  }
  const l2Bytes = 2 ** header.l2Bits * 8;
  if (last === 0n || last + BigInt(l2Bytes) <= BigInt(source.size)) return [];
  const message = `An L2 table is said to lie at byte ${last}, but the file ends at ${source.size}`;
  return [{ code: 'table-outside-file', severity: 'unsafe', offset: header.l1TableOffset, message }];
}
