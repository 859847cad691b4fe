import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { isPowerOfTwo } from '../../bytes/numbers.ts';
import type { ImageReference } from '../../image/reference.ts';
import { imageInfo, shownText, tableFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import type { Examination, Format } from '../../image/format.ts';
import { refuseUnsafe } from '../../image/refusal.ts';
import type { QedHeader } from './header.ts';
import { MAGIC, readBackingName, readHeader, tableBytes } from './header.ts';
import { openQed } from './open.ts';

/** QEMU Enhanced Disk, a short-lived successor to QEMU's first formats. Read, not written. */
export const qed: Format = {
  name: 'qed',
  aliases: [],
  probe: ({ head }) => head.length >= MAGIC.length && MAGIC.every((byte, i) => head[i] === byte),
  examine,
  async open(source) {
    const { info, findings } = await examine(source);
    refuseUnsafe('qed', findings);
    return openQed(source, await readHeader(source), info);
  },
};

const MIN_CLUSTER_SIZE = 4096;
const MAX_CLUSTER_SIZE = 64 * 2 ** 20;
const MAX_TABLE_CLUSTERS = 16;
/** 16 clusters of 64 KiB are the specification's most for the usual cluster size. */
const MAX_TABLE_BYTES = 16 * 2 ** 20;
const MAX_TABLE_BYTES_WALKED = 4 * 2 ** 20;

async function examine(source: ByteSource): Promise<Examination> {
  const header = await readHeader(source);
  const backing = header.hasBackingFile ? await backingReference(source, header) : undefined;
  const info = imageInfo('qed', header.imageSize, {
    unitSize: header.clusterSize,
    dirty: header.needsCheck,
    ...(backing === undefined ? {} : { backing, references: [backing] }),
    details: { clusterSize: header.clusterSize, tableSize: header.tableSize },
  });
  return { info, findings: [...headerFindings(source.size, header, backing), ...(await l1Findings(source, header))] };
}

async function backingReference(source: ByteSource, header: QedHeader): Promise<ImageReference> {
  const name = await readBackingName(source, header);
  return { kind: 'backing', name, ...(header.backingIsRaw ? { format: 'raw' } : {}) };
}

function headerFindings(fileSize: number, header: QedHeader, backing: ImageReference | undefined): readonly Finding[] {
  const findings: Finding[] = [];
  const add = (code: string, offset: number, message: string): void => {
    findings.push({ code, severity: 'unsafe', offset, message });
  };
  if (backing !== undefined)
    add('backing-file', header.backingNameOffset, `The image needs the backing file ${shownText(backing.name)}`);
  if (header.needsCheck) {
    findings.push({
      code: 'dirty',
      severity: 'warning',
      offset: 16,
      message: 'The image was not closed cleanly: its tables need a check',
    });
  }
  if (header.unknownFeatures !== 0n)
    add('unknown-feature', 16, `Feature bits 0x${header.unknownFeatures.toString(16)} are not known`);
  if (!hasSaneSizes(header)) {
    add(
      'header-inconsistent',
      4,
      `Clusters of ${header.clusterSize} bytes with tables of ${header.tableSize} clusters are not possible`,
    );
    return findings;
  }
  const entries = tableBytes(header) / 8;
  if (header.imageSize > entries * entries * header.clusterSize) {
    add('header-inconsistent', 48, `A disk of ${header.imageSize} bytes is larger than its tables can address`);
  }
  findings.push(
    ...tableFindings(fileSize, {
      structure: 'L1 table',
      offset: header.l1TableOffset,
      length: tableBytes(header),
      maxLength: MAX_TABLE_BYTES,
    }),
  );
  return findings;
}

function hasSaneSizes({ clusterSize, tableSize }: QedHeader): boolean {
  const sizeFits = isPowerOfTwo(clusterSize) && clusterSize >= MIN_CLUSTER_SIZE && clusterSize <= MAX_CLUSTER_SIZE;
  return sizeFits && isPowerOfTwo(tableSize) && tableSize <= MAX_TABLE_CLUSTERS;
}

async function l1Findings(source: ByteSource, header: QedHeader): Promise<readonly Finding[]> {
  const length = tableBytes(header);
  if (!hasSaneSizes(header) || length > MAX_TABLE_BYTES_WALKED || header.l1TableOffset + length > source.size)
    return [];
  const bytes = await readBytes(source, header.l1TableOffset, length);
  const view = new DataView(bytes.buffer);
  let last = 0n;
  for (let at = 0; at < length; at += 8) {
    const l2TableOffset = view.getBigUint64(at, true);
    if (l2TableOffset > last) last = l2TableOffset;
  }
  if (last === 0n || last + BigInt(length) <= BigInt(source.size)) return [];
  const message = `An L2 table is said to lie at byte ${last}, but the file ends at ${source.size}`;
  return [{ code: 'table-outside-file', severity: 'unsafe', offset: header.l1TableOffset, message }];
}
