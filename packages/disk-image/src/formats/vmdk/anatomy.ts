import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import { fieldReader } from '../../bytes/numbers.ts';
import type { ProbeInput } from '../../image/format.ts';
import { descriptorFaults } from './create-type.ts';
import type { Descriptor } from './descriptor.ts';
import { looksLikeDescriptor, MAX_DESCRIPTOR_SIZE, parseDescriptor } from './descriptor.ts';
import type { EsxExtent } from './esx-header.ts';
import { ESX_HEADER_SIZE, parseEsxHeader } from './esx-header.ts';
import type { Fault } from './fault.ts';
import { vmdkError } from './fault.ts';
import { overlapsHeader } from './grain-directory.ts';
import { readSparseHeader } from './sparse-extent.ts';
import type { SparseHeader } from './sparse-header.ts';
import { headerFaults, SPARSE_HEADER_SIZE, SPARSE_MAGIC, tableCount } from './sparse-header.ts';

/** What the file itself is, and every reason in its header and descriptor not to open it. */
export type Anatomy =
  | {
      readonly kind: 'sparse';
      readonly header: SparseHeader;
      readonly descriptor?: Descriptor;
      readonly faults: readonly Fault[];
    }
  | { readonly kind: 'descriptor'; readonly descriptor: Descriptor; readonly faults: readonly Fault[] }
  | { readonly kind: 'esx'; readonly extent: EsxExtent; readonly faults: readonly Fault[] };

/** Does the file begin as a hosted sparse extent, an ESX one, or a text descriptor? Never throws. */
export function looksLikeVmdk(input: ProbeInput): boolean {
  return (
    startsWithSparseMagic(input.head) || parseEsxHeader(input.head) !== undefined || looksLikeDescriptor(input.head)
  );
}

function startsWithSparseMagic(head: Uint8Array): boolean {
  return (
    head.length >= 4 && fieldReader(head, 'little', { format: 'vmdk', structure: 'magic' }).u32(0) === SPARSE_MAGIC
  );
}

/** Enough of a file to tell which kind it is. */
const HEAD_SIZE = 4096;

/**
 * Reads header and descriptor. Throws `wrong_format` for a file that is no VMDK, `truncated` and `corrupt` when not
 * even those can be understood.
 */
export async function readAnatomy(source: ByteSource): Promise<Anatomy> {
  const head = await readBytes(source, 0, Math.min(HEAD_SIZE, source.size));
  if (startsWithSparseMagic(head)) return sparseAnatomy(source);
  const esx = parseEsxHeader(head.subarray(0, ESX_HEADER_SIZE));
  if (esx !== undefined) return { kind: 'esx', extent: esx, faults: [esxFault(esx)] };
  if (looksLikeDescriptor(await readBytes(source, 0, Math.min(MAX_DESCRIPTOR_SIZE, source.size)))) {
    return descriptorAnatomy(source);
  }
  throw vmdkError('wrong_format', 'The file is neither a VMDK sparse extent nor a VMDK descriptor', 'header', 0);
}

function esxFault(extent: EsxExtent): Fault {
  return {
    code: 'unsupported-subformat',
    refusal: 'unsupported',
    structure: 'ESX extent header',
    message: `The file is a ${extent.kind} extent of ESXi, which is not read; convert the disk to monolithicSparse or streamOptimized with VMware's tools`,
    offset: 0,
  };
}

async function descriptorAnatomy(source: ByteSource): Promise<Anatomy> {
  if (source.size > MAX_DESCRIPTOR_SIZE) {
    throw vmdkError(
      'unsafe',
      `A descriptor file of ${source.size} bytes is larger than the limit of ${MAX_DESCRIPTOR_SIZE}`,
      'descriptor',
      MAX_DESCRIPTOR_SIZE,
    );
  }
  const descriptor = parseDescriptor(await readBytes(source, 0, source.size), 0);
  return { kind: 'descriptor', descriptor, faults: descriptorFaults(descriptor, 'separate') };
}

async function sparseAnatomy(source: ByteSource): Promise<Anatomy> {
  const header = await readSparseHeader(source);
  const faults = [...headerFaults(header), ...placeFaults(source, header)];
  const embedded = await readEmbedded(source, header);
  if (embedded === undefined) return { kind: 'sparse', header, faults: [...faults, loneExtentFault()] };
  return {
    kind: 'sparse',
    header,
    descriptor: embedded,
    faults: [...faults, ...descriptorFaults(embedded, 'embedded')],
  };
}

function loneExtentFault(): Fault {
  return {
    code: 'missing-descriptor',
    refusal: 'unsupported',
    structure: 'descriptor',
    message: 'The sparse extent has no descriptor: it is one part of a disk of several files; open the descriptor file',
  };
}

/** The embedded descriptor, or undefined when there is none, also when its place is blank. */
async function readEmbedded(source: ByteSource, header: SparseHeader): Promise<Descriptor | undefined> {
  const { descriptorOffset, descriptorSize } = header;
  if (descriptorOffset === 0 || descriptorSize === 0 || descriptorSize > MAX_DESCRIPTOR_SIZE) return undefined;
  if (descriptorOffset < SPARSE_HEADER_SIZE || descriptorOffset + descriptorSize > source.size) {
    throw vmdkError(
      'truncated',
      `The embedded descriptor reaches byte ${descriptorOffset + descriptorSize}, but the file ends at byte ${source.size}`,
      'descriptor',
      descriptorOffset,
    );
  }
  const bytes = await readBytes(source, descriptorOffset, descriptorSize);
  return bytes[0] === 0 ? undefined : parseDescriptor(bytes, descriptorOffset);
}

/** Directories that lie beyond the file or over the header. */
function placeFaults(source: ByteSource, header: SparseHeader): Fault[] {
  const offset = header.directoryOffset;
  if (offset === 'at-end') return [];
  const fault = { structure: 'grain directory', offset };
  const end = offset + tableCount(header) * 4;
  if (overlapsHeader(header, offset)) {
    return [
      {
        ...fault,
        code: 'overlapping-tables',
        refusal: 'corrupt',
        message: 'The grain directory lies over the header or the descriptor',
      },
    ];
  }
  // NaN and Infinity, from a grain size of 0, are faults of the header already.
  if (!(end > source.size) || !Number.isFinite(end)) return [];
  return [
    {
      ...fault,
      code: 'table-outside-file',
      refusal: 'truncated',
      message: `The grain directory reaches byte ${end}, but the file ends at byte ${source.size}`,
    },
  ];
}
