import type { ByteSource } from '../bytes/byte-source.ts';
import type { Codecs } from '../bytes/codecs.ts';
import { ImageError } from '../errors.ts';
import type { DiskImage } from '../image/disk-image.ts';
import type { Finding } from '../image/finding.ts';
import type { Format } from '../image/format.ts';
import { denyReferences } from '../image/reference.ts';
import type { BoundedSource } from './bounded-source.ts';
import type { IsoVolume } from './iso9660.ts';
import { findIsoVolume, isoFindings } from './iso9660.ts';
import type { InspectLimits } from './limits.ts';
import type { PartitionTable } from './partition-table.ts';
import { readPartitionTable } from './partition-table.ts';
import { matchingFormats, readProbeInput } from './signature.ts';
import { dataRatioFindings } from './size-bomb.ts';

/** What the guest sees, as far as it could be read. */
export interface GuestReading {
  readonly partitionTable?: PartitionTable;
  readonly iso?: IsoVolume;
  readonly findings: readonly Finding[];
}

/** What reading a guest disk needs. */
export interface GuestContext {
  readonly codecs: Codecs;
  readonly formats: readonly Format[];
  readonly limits: InspectLimits;
}

/**
 * Opens the image without any other file and looks at the first and last guest bytes: partitions, an ISO volume, a second
 * image inside. What can not be read is a finding. Throws only `io` and `aborted`.
 */
export async function readGuest(source: BoundedSource, format: Format, context: GuestContext): Promise<GuestReading> {
  if (format.open === undefined) {
    const message = `The guest bytes were not looked at: ${format.name} is recognised, but not read`;
    return { findings: [{ code: 'guest-not-read', severity: 'info', message }] };
  }
  try {
    const disk = await format.open(source, { codecs: context.codecs, references: denyReferences });
    return await readDisk(disk, source, context);
  } catch (error) {
    return { findings: [guestNotRead(error)] };
  }
}

async function readDisk(disk: DiskImage, source: BoundedSource, context: GuestContext): Promise<GuestReading> {
  const guest = guestSource(disk);
  const input = await readProbeInput(guest);
  const partitions = await readPartitionTable(guest);
  const iso = findIsoVolume(input.head);
  const isItself = disk.info.format === 'raw';
  const findings = [
    ...(isItself ? [] : matchingFormats(input, context.formats).map(nestedFormat)),
    ...partitions.findings,
    ...(iso === undefined ? [] : isoFindings(iso, disk.virtualSize)),
  ].map((finding) => (isItself ? finding : withoutOffset(finding)));
  const ratio = isItself ? [] : await dataRatioFindings(disk, source, context.limits);
  return {
    ...(partitions.table === undefined ? {} : { partitionTable: partitions.table }),
    ...(iso === undefined ? {} : { iso }),
    findings: [...findings, ...ratio],
  };
}

function guestSource(disk: DiskImage): ByteSource {
  return { size: disk.virtualSize, read: (offset, into, signal) => disk.read(offset, into, signal), async close() {} };
}

function nestedFormat(format: Format): Finding {
  const message = `The guest bytes are themselves an image of the format ${format.name}: written out raw, they would be opened as one`;
  return { code: 'nested-format', severity: 'unsafe', message };
}

/** Places in the guest disk are no places in the file. */
function withoutOffset({ code, severity, message }: Finding): Finding {
  return { code, severity, message };
}

function guestNotRead(error: unknown): Finding {
  if (!(error instanceof ImageError) || error.code === 'io' || error.code === 'aborted') throw error;
  const severity = error.code === 'unsupported' || error.code === 'unsafe' ? 'warning' : 'unsafe';
  const message = `The guest bytes could not be looked at (${error.code}): ${error.message}`;
  return { code: 'guest-not-read', severity, ...(error.offset === undefined ? {} : { offset: error.offset }), message };
}
