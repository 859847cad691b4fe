import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { imageInfo, tableFindings, truncationFindings } from '../../image/examination.ts';
import type { Finding } from '../../image/finding.ts';
import type { Examination, Format, ProbeInput } from '../../image/format.ts';
import { refuseUnsafe } from '../../image/refusal.ts';
import { openDmg } from './open.ts';
import type { UdifTrailer } from './trailer.ts';
import { beginsWith, ENCRYPTED_SIGNATURE, readTrailer, SIGNATURE, TRAILER_BYTES } from './trailer.ts';

/** Apple disk images with a UDIF trailer, and encrypted ones, which are refused. Read, not written. */
export const dmg: Format = {
  name: 'dmg',
  aliases: ['udif'],
  probe,
  examine,
  async open(source, { codecs }) {
    const { info, findings } = await examine(source);
    refuseUnsafe('dmg', findings);
    return openDmg(source, await readTrailer(source), { info, codecs });
  },
};

/** The map of a disk of hundreds of gigabytes fits; an image with more has been made to exhaust its reader. */
const MAX_PROPERTY_LIST_BYTES = 32 * 2 ** 20;
/** Offsets into the data of a resource fork have 24 bits. */
const MAX_RESOURCE_FORK_BYTES = 2 ** 24 + 2 ** 20;
const KNOWN_VERSION = 4;

function probe({ head, tail }: ProbeInput): boolean {
  const trailer = tail.subarray(Math.max(0, tail.length - TRAILER_BYTES));
  return (trailer.length === TRAILER_BYTES && beginsWith(trailer, SIGNATURE)) || beginsWith(head, ENCRYPTED_SIGNATURE);
}

async function examine(source: ByteSource): Promise<Examination> {
  const start = await readBytes(source, 0, Math.min(ENCRYPTED_SIGNATURE.length, source.size));
  if (beginsWith(start, ENCRYPTED_SIGNATURE)) return encrypted();
  const trailer = await readTrailer(source);
  const info = imageInfo('dmg', trailer.diskSize, {
    subformat: 'UDIF',
    details: {
      version: trailer.version,
      imageVariant: trailer.imageVariant,
      segmentNumber: trailer.segmentNumber,
      segmentCount: trailer.segmentCount,
    },
  });
  return { info, findings: trailerFindings(trailer) };
}

/** The size of the guest disk is inside the encrypted part: 0 stands for not known. */
function encrypted(): Examination {
  const message = 'The whole image is encrypted (Apple encrcdsa container); not even the size of the disk can be seen';
  return {
    info: imageInfo('dmg', 0, { subformat: 'encrypted', encryption: 'encrcdsa' }),
    findings: [{ code: 'encrypted', severity: 'unsafe', offset: 0, message }],
  };
}

function trailerFindings(trailer: UdifTrailer): readonly Finding[] {
  const findings: Finding[] = [
    ...truncationFindings(trailer.at, trailer.dataForkOffset + trailer.dataForkLength),
    ...tableFindings(trailer.at, {
      structure: 'property list',
      offset: trailer.propertyListOffset,
      length: trailer.propertyListLength,
      maxLength: MAX_PROPERTY_LIST_BYTES,
    }),
  ];
  findings.push(
    ...tableFindings(trailer.at, {
      structure: 'resource fork',
      offset: trailer.resourceForkOffset,
      length: trailer.resourceForkLength,
      maxLength: MAX_RESOURCE_FORK_BYTES,
    }),
  );
  if (trailer.version !== KNOWN_VERSION) {
    const message = `Trailer version ${trailer.version} is not known; version ${KNOWN_VERSION} is`;
    findings.push({ code: 'unsupported-subformat', severity: 'unsafe', offset: trailer.at + 4, message });
  }
  if (trailer.segmentCount > 1) {
    const message = `The image is part ${trailer.segmentNumber} of ${trailer.segmentCount}; the other parts are files of their own`;
    findings.push({ code: 'foreign-extent', severity: 'unsafe', offset: trailer.at + 56, message });
  }
  return findings;
}
