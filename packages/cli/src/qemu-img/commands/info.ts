import type { SnapshotInfo } from '@diskmorph/disk-image';
import { MAX_CHAIN_DEPTH } from '@diskmorph/disk-image';
import type { OptionSpec } from '../arguments/getopt.ts';
import type { CommandLine } from '../arguments/given-options.ts';
import { outputFormat, readCommandLine } from '../arguments/given-options.ts';
import { Failure, usageFailure } from '../failure.ts';
import { findDriver } from '../format-names.ts';
import type { ImageFacts } from '../image/image-facts.ts';
import { imageFacts } from '../image/image-facts.ts';
import { knownImage } from '../image/image-source.ts';
import type { ImageLocation } from '../image/location.ts';
import { fromName, readImageName } from '../image/location.ts';
import type { Json } from '../text/json-text.ts';
import { jsonText } from '../text/json-text.ts';
import { out } from '../text/output.ts';
import { sizeText } from '../text/size-text.ts';
import { snapshotTable } from '../text/snapshot-table.ts';

const OPTIONS: readonly OptionSpec[] = [
  { short: 'f', long: 'format', takes: 'value' },
  { long: 'output', takes: 'value' },
  { long: 'backing-chain', takes: 'nothing' },
  { long: 'image-opts', takes: 'nothing' },
  { short: 'U', long: 'force-share', takes: 'nothing' },
];

/** `qemu-img info`: what the metadata of an image, or of every image of its chain, says. */
export async function info(args: readonly string[]): Promise<number> {
  const line = readCommandLine('info', args, OPTIONS);
  const [name, ...more] = line.operands;
  const output = outputFormat(line);
  if (name === undefined || more.length > 0) throw usageFailure('Expecting one image file name');
  const chain = await readChain(line, name);
  if (output === 'human') out(chain.map(humanText).join('\n'));
  else if (line.has('backing-chain')) out(`${jsonText(chain.map(jsonFacts))}\n`);
  else out(`${chain.map((facts) => jsonText(jsonFacts(facts))).join('')}\n`);
  return 0;
}

async function readChain(line: CommandLine, name: string): Promise<ImageFacts[]> {
  const reading = { asOptions: line.has('image-opts'), format: line.value('format') };
  const chain: ImageFacts[] = [];
  const seen = new Set<string>();
  let location: ImageLocation | undefined = readImageName(name, reading);
  while (location !== undefined) {
    if (seen.has(location.path)) throw new Failure(`Backing file '${location.path}' creates an infinite loop.`);
    if (chain.length >= MAX_CHAIN_DEPTH) throw new Failure(`More than ${MAX_CHAIN_DEPTH} images stand on each other`);
    seen.add(location.path);
    const facts = await imageFacts(await knownImage(location));
    chain.push(facts);
    location = line.has('backing-chain') ? backingLocation(facts) : undefined;
  }
  return chain;
}

function backingLocation(facts: ImageFacts): ImageLocation | undefined {
  const { backing, image } = facts;
  if (backing === undefined || !image.location.hasBacking) return undefined;
  if (process.env['DISKMORPH_REFERENCES'] === 'deny') {
    throw new Failure(`Could not open '${backing.fullName}': the image refers to it, and references are denied`);
  }
  const format = backing.format === undefined ? undefined : findDriver(backing.format);
  if (backing.format !== undefined && format === undefined) {
    throw new Failure(`Could not open '${backing.fullName}': Unknown driver '${backing.format}'`);
  }
  return { ...fromName(backing.fullName), ...(format === undefined ? {} : { format: format.name }) };
}

/** The members in the order in which qemu-img 7.2 writes them. */
function jsonFacts(facts: ImageFacts): Json {
  const { backing, info } = facts;
  return {
    'backing-filename-format': backing?.format,
    snapshots: info.snapshots.length === 0 ? undefined : info.snapshots.map(jsonSnapshot),
    'virtual-size': facts.virtualSize,
    filename: facts.image.location.shownName,
    'cluster-size': facts.clusterSize,
    format: facts.format,
    'actual-size': facts.actualSize,
    'format-specific': facts.specific,
    'full-backing-filename': backing?.fullName,
    'backing-filename': backing?.name,
    encrypted: facts.encrypted ? true : undefined,
    'dirty-flag': facts.dirty,
  };
}

const NANOSECONDS = 1_000_000_000;

function jsonSnapshot(snapshot: SnapshotInfo): Json {
  return {
    icount: snapshot.icount,
    'vm-clock-nsec': snapshot.vmClockNanoseconds % NANOSECONDS,
    name: snapshot.name,
    'date-sec': snapshot.dateSeconds,
    'date-nsec': snapshot.dateNanoseconds,
    'vm-clock-sec': Math.floor(snapshot.vmClockNanoseconds / NANOSECONDS),
    id: snapshot.id,
    'vm-state-size': snapshot.vmStateSize,
  };
}

function humanText(facts: ImageFacts): string {
  const { backing, info } = facts;
  const lines = [
    `image: ${facts.image.location.shownName}`,
    `file format: ${facts.format}`,
    `virtual size: ${sizeText(facts.virtualSize)} (${facts.virtualSize} bytes)`,
    `disk size: ${sizeText(facts.actualSize)}`,
    ...(facts.encrypted ? ['encrypted: yes'] : []),
    ...(facts.clusterSize === undefined ? [] : [`cluster_size: ${facts.clusterSize}`]),
    ...(facts.dirty === true ? ['cleanly shut down: no'] : []),
  ];
  if (backing !== undefined) {
    const actual = backing.fullName === backing.name ? '' : ` (actual path: ${backing.fullName})`;
    lines.push(`backing file: ${backing.name}${actual}`);
    if (backing.format !== undefined) lines.push(`backing file format: ${backing.format}`);
  }
  const specific =
    facts.specific === undefined ? '' : `Format specific information:\n${members(facts.specific.data, 1)}`;
  return `${lines.join('\n')}\n${snapshotTable(info.snapshots)}${specific}`;
}

const INDENT = '    ';

function members(data: { readonly [key: string]: Json | undefined }, depth: number): string {
  return Object.entries(data)
    .map(([key, value]) => entry(key.replaceAll('-', ' '), value ?? '', depth))
    .join('');
}

function entry(label: string, value: Json, depth: number): string {
  const start = `${INDENT.repeat(depth)}${label}:`;
  if (Array.isArray(value)) {
    return `${start}\n${value.map((item: Json, index: number) => entry(`[${index}]`, item, depth + 1)).join('')}`;
  }
  if (isMembers(value)) return `${start}\n${members(value, depth + 1)}`;
  return `${start} ${String(value)}\n`;
}

function isMembers(value: Json): value is { readonly [key: string]: Json | undefined } {
  return typeof value === 'object' && value !== null;
}
