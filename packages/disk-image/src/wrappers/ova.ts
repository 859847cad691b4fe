import type { ByteSource } from '../bytes/byte-source.ts';
import { readBytes } from '../bytes/byte-source.ts';
import { subSource } from '../bytes/sub-source.ts';
import { checkDigest, MAX_MANIFEST_BYTES, parseManifest } from './manifest.ts';
import { namesOf, shownName } from './member-name.ts';
import type { OvfDisk } from './ovf.ts';
import { disksOfOvf, MAX_OVF_BYTES, ovfError } from './ovf.ts';
import type { WrapperPorts } from './ports.ts';
import type { TarMember } from './tar.ts';

/** True for archives that hold an OVF package. */
export function hasDescriptor(members: readonly TarMember[]): boolean {
  return members.some(({ name }) => isDescriptor(name));
}

/**
 * The member that is the disk of the package: the one that `wanted` names by file name or disk id, or the only one. When
 * the package has a manifest, every file that it lists is read and held against its digest first.
 * Throws `corrupt`, `unsafe`, `unsupported` (no disk; several, naming them), `out_of_bounds` (no such disk).
 */
export async function diskOfPackage(
  source: ByteSource,
  members: readonly TarMember[],
  options: {
    readonly wanted: string | undefined;
    readonly ports: WrapperPorts;
    readonly signal: AbortSignal | undefined;
  },
): Promise<TarMember> {
  const descriptors = members.filter(({ name }) => isDescriptor(name));
  const [descriptor] = descriptors;
  if (descriptor === undefined || descriptors.length > 1) {
    throw ovfError('unsupported', `The archive does not hold just one OVF descriptor; ${namesOf(descriptors)}`);
  }
  const disks = disksOfOvf(await contentOf(source, descriptor, MAX_OVF_BYTES));
  const disk = chosenDisk(disks, options.wanted);
  const member = members.find(({ name }) => name === beside(descriptor, disk.name));
  if (member === undefined) throw ovfError('corrupt', `The archive lacks the disk ${shownName(disk.name)}`);
  if (member.size !== (disk.size ?? member.size)) {
    throw ovfError('corrupt', `The disk ${shownName(disk.name)} has ${member.size} bytes instead of ${disk.size}`);
  }
  const sparse = members.find(({ pieces }) => pieces !== undefined);
  if (sparse !== undefined) throw ovfError('unsupported', `The package has the sparse file ${shownName(sparse.name)}`);
  await checkManifest(source, { members, descriptor, disk: member }, options);
  return member;
}

function isDescriptor(name: string): boolean {
  return name.toLowerCase().endsWith('.ovf');
}

function chosenDisk(disks: readonly OvfDisk[], wanted: string | undefined): OvfDisk {
  const named = disks.map(({ name }) => ({ name, size: 0 }));
  if (wanted !== undefined) {
    const found = disks.find(({ name, diskId }) => name === wanted || diskId === wanted);
    if (found !== undefined) return found;
    throw ovfError('out_of_bounds', `The package has no disk ${shownName(wanted)}; ${namesOf(named)}`);
  }
  const [only] = disks;
  if (only !== undefined && disks.length === 1) return only;
  throw ovfError('unsupported', `The package does not hold just one disk, so one must be named; ${namesOf(named)}`);
}

/** Names in a descriptor and in a manifest are relative to where it lies. */
function beside(descriptor: TarMember, name: string): string {
  return descriptor.name.slice(0, descriptor.name.lastIndexOf('/') + 1) + name;
}

async function checkManifest(
  source: ByteSource,
  about: { readonly members: readonly TarMember[]; readonly descriptor: TarMember; readonly disk: TarMember },
  how: { readonly ports: WrapperPorts; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const { members, descriptor, disk } = about;
  const manifestName = descriptor.name.replace(/\.ovf$/i, '.mf').toLowerCase();
  const manifest = members.find(({ name }) => name.toLowerCase() === manifestName);
  if (manifest === undefined) return;
  const lines = parseManifest(await contentOf(source, manifest, MAX_MANIFEST_BYTES));
  if (!lines.some(({ name }) => beside(descriptor, name) === disk.name)) {
    throw ovfError('corrupt', `The manifest does not list the disk ${shownName(disk.name)}`);
  }
  const byName = new Map(members.map((member) => [member.name, member]));
  for (const line of lines) {
    const member = byName.get(beside(descriptor, line.name));
    if (member === undefined) throw ovfError('corrupt', `The archive lacks ${shownName(line.name)} of its manifest`);
    await checkDigest(subSource(source, member.offset, member.size), line, how);
  }
}

async function contentOf(source: ByteSource, member: TarMember, maxBytes: number): Promise<Uint8Array> {
  if (member.size <= maxBytes) return readBytes(source, member.offset, member.size);
  throw ovfError('unsafe', `${shownName(member.name)} has ${member.size} bytes; at most ${maxBytes} are accepted`);
}
