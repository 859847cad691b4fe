import type { ByteSource } from '../../bytes/byte-source.ts';
import { ImageError } from '../../errors.ts';
import type { Finding } from '../../image/finding.ts';
import type { Examination } from '../../image/format.ts';
import { describeReference } from '../../image/reference.ts';
import type { Anatomy } from './anatomy.ts';
import { readAnatomy } from './anatomy.ts';
import type { Descriptor } from './descriptor.ts';
import { descriptorCapacity } from './descriptor.ts';
import { diskInfo, foreignExtents, parentReference } from './disk-info.ts';
import { extentNameFault } from './extent-name.ts';
import { faultFinding } from './fault.ts';
import { readGrainDirectory } from './grain-directory.ts';
import type { GrainSurvey, TableSurvey } from './grain-survey.ts';
import { surveyGrains, surveyTables } from './grain-survey.ts';
import { effectiveHeader } from './sparse-extent.ts';
import type { SparseHeader } from './sparse-header.ts';
import { headerFaults } from './sparse-header.ts';

/**
 * What the file says of itself, and everything suspicious about it. Opens no other file and reads no grain, and at most
 * 16 MiB of directory and as much of tables: `check` is the one that reads all of them.
 * Throws `wrong_format`, and `corrupt` or `truncated` when not even header and descriptor can be understood.
 */
export async function examineDisk(source: ByteSource): Promise<Examination> {
  const anatomy = await readAnatomy(source);
  const findings = anatomy.faults.map(faultFinding);
  if (anatomy.kind === 'esx') return { info: diskInfo(anatomy), findings };
  if (anatomy.descriptor !== undefined) findings.push(...descriptorFindings(anatomy.descriptor, anatomy));
  if (anatomy.kind === 'sparse') findings.push(...(await sparseFindings(source, anatomy.header)));
  return { info: diskInfo(anatomy), findings: dropRepeated(findings) };
}

function descriptorFindings(descriptor: Descriptor, anatomy: Anatomy): Finding[] {
  const header = anatomy.kind === 'sparse' ? anatomy.header : undefined;
  const foreign = foreignExtents(descriptor, header);
  const findings = foreign.map((extent): Finding => {
    const reference = describeReference({ kind: 'extent', name: extent.name ?? '' });
    return { code: 'foreign-extent', severity: 'unsafe', message: `Guest bytes lie in another file: ${reference}` };
  });
  const parent = parentReference(descriptor);
  if (parent !== undefined && !anatomy.faults.some(({ code }) => code === 'differencing-parent')) {
    const message = `The disk holds only the differences from its ${describeReference(parent)}`;
    findings.push({ code: 'differencing-parent', severity: 'unsafe', message });
  }
  if (header !== undefined && foreign.length === 0) findings.push(...ownExtentFindings(descriptor, header));
  if (descriptor.changeTrackPath !== undefined) {
    findings.push({
      code: 'change-tracking',
      severity: 'info',
      message: 'The descriptor names a change tracking file, which is not read',
    });
  }
  return findings;
}

function ownExtentFindings(descriptor: Descriptor, header: SparseHeader): Finding[] {
  const findings: Finding[] = [];
  const wrong = extentNameFault(descriptor.extents[0]?.name ?? '');
  if (wrong !== undefined) {
    findings.push({
      code: 'unsafe-extent-name',
      severity: 'warning',
      offset: header.descriptorOffset,
      message: `The name that the file has for itself ${wrong}; it is not followed`,
    });
  }
  const described = descriptorCapacity(descriptor.extents);
  if (described !== header.capacity) {
    findings.push({
      code: 'size-mismatch',
      severity: 'warning',
      offset: header.descriptorOffset,
      message: `The descriptor gives the disk ${described} bytes, the header ${header.capacity}; the header counts`,
    });
  }
  return findings;
}

async function sparseFindings(source: ByteSource, header: SparseHeader): Promise<Finding[]> {
  const findings: Finding[] = [];
  if (header.uncleanShutdown) {
    findings.push({
      code: 'dirty',
      severity: 'warning',
      offset: 72,
      message: 'The image was not closed cleanly: its last writes may be missing',
    });
  }
  if (headerFaults(header).length > 0) return findings;
  try {
    const effective = await effectiveHeader(source, header);
    const directory = await readGrainDirectory(source, effective);
    const tables = surveyTables(source, effective, directory);
    findings.push(...tableFindings(tables));
    const readable = examinedTables(tables.readable);
    const grains = await surveyGrains(source, { header: effective, directory, readable });
    findings.push(...grainFindings(grains));
  } catch (error) {
    findings.push(errorFinding(error));
  }
  return findings;
}

/** 4096 tables at either end: 8 MiB each, 256 GiB of guest bytes together. A file that is cut off lacks the last ones. */
const MAX_EXAMINED_AT_END = 4096;

/** The tables that are looked into: all, or of a very large disk those at both ends, as `check` reads all of them. */
function examinedTables(readable: readonly number[]): readonly number[] {
  if (readable.length <= 2 * MAX_EXAMINED_AT_END) return readable;
  return [...readable.slice(0, MAX_EXAMINED_AT_END), ...readable.slice(-MAX_EXAMINED_AT_END)];
}

/** What stops the walk becomes a finding; anything but a fault of the image stays an error. */
function errorFinding(error: unknown): Finding {
  if (!(error instanceof ImageError) || (error.code !== 'truncated' && error.code !== 'corrupt')) throw error;
  const outside = error.code === 'truncated' && error.structure !== 'footer';
  const code = outside ? 'table-outside-file' : error.code === 'truncated' ? 'truncated' : 'overlapping-tables';
  const finding: Finding = { code, severity: 'unsafe', message: error.message };
  return error.offset === undefined ? finding : { ...finding, offset: error.offset };
}

/** Findings about grain tables. */
export function tableFindings(tables: TableSurvey): Finding[] {
  const findings: Finding[] = [];
  if (tables.firstOutside !== undefined) {
    findings.push({
      code: 'table-outside-file',
      severity: 'unsafe',
      offset: tables.firstOutside,
      message: `${tables.outside} grain tables reach beyond the end of the file`,
    });
  }
  if (tables.firstOverlapping !== undefined) {
    findings.push({
      code: 'overlapping-tables',
      severity: 'unsafe',
      offset: tables.firstOverlapping,
      message: `${tables.overlapping} grain tables lie over the header or over each other`,
    });
  }
  return findings;
}

/** Findings about the places of grains. */
export function grainFindings(grains: GrainSurvey): Finding[] {
  const findings: Finding[] = [];
  if (grains.firstOutside !== undefined) {
    findings.push({
      code: 'truncated',
      severity: 'unsafe',
      offset: grains.firstOutside,
      message: `${grains.outside} grains reach beyond the end of the file: it is cut off`,
    });
  }
  if (grains.firstMisplaced !== undefined) {
    findings.push({
      code: 'overlapping-grains',
      severity: 'unsafe',
      offset: grains.firstMisplaced,
      message: `${grains.misplaced} grains lie over the header or the descriptor`,
    });
  }
  return findings;
}

/** The directory is judged with the header and again when it is read; once is enough. */
function dropRepeated(findings: readonly Finding[]): Finding[] {
  return findings.filter(
    (finding, index) =>
      finding.offset === undefined ||
      findings.findIndex((other) => other.code === finding.code && other.offset === finding.offset) === index,
  );
}
