import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findFormat } from '../formats/all.ts';
import { findTarget, targetProfiles } from './all.ts';
import type { Candidate } from './candidate.ts';
import { lintCandidate, lintDisk } from './lint.ts';
import type { TargetProfile } from './profile.ts';

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const TIB = 2 ** 40;
const GB = 10 ** 9;

const plain: Candidate = {
  format: 'raw',
  virtualSize: 2 * GIB,
  fileSize: 2 * GIB,
  info: { references: [], details: {} },
  findings: [],
  partitionTable: { kind: 'gpt' },
};
const packed = (wrapper: string): Partial<Candidate> => ({ format: 'raw', contents: { kind: 'wrapper', wrapper } });
const withDetails = (details: Record<string, string | number | boolean>): Partial<Candidate> => ({
  info: { references: [], details },
});

/** For each target an image that keeps every rule. */
const KEEPS: Readonly<Record<string, Partial<Candidate>>> = {
  azure: { format: 'vhd', subformat: 'fixed', fileSize: 2 * GIB + 512 },
  aws: { format: 'vmdk', subformat: 'streamOptimized' },
  gcp: { packed: { wrappers: ['tar', 'gz'], name: 'disk.raw' } },
  oci: { format: 'vmdk', subformat: 'monolithicSparse' },
  digitalocean: { format: 'vdi' },
  esxi: {
    format: 'vmdk',
    subformat: 'streamOptimized',
    ...withDetails({ 'header-version': 3, 'adapter-type': 'lsilogic' }),
  },
  virtualbox: { format: 'vdi' },
  hyperv: { format: 'vhdx', allocatedBytes: 2 * GIB },
  proxmox: { format: 'qcow2' },
  xcpng: { format: 'vhd', subformat: 'dynamic', ...withDetails({ creator: 'dmph Wi2k' }) },
  kubevirt: { format: 'qcow2' },
  'openstack-ceph': {},
  'openstack-qemu': { format: 'qcow2', ...withDetails({ 'extended-l2': false }) },
};

/** For each rule what breaks it, starting from the image that keeps all. */
const BREAKS: Readonly<Record<string, readonly Partial<Candidate>[]>> = {
  sound: [{ findings: [{ code: 'truncated', severity: 'unsafe', message: 'The file ends early' }] }],
  'self-contained': [{ info: { references: [{ kind: 'backing', name: 'base' }], details: {} } }],
  unpacked: [packed('lz4'), packed('zip'), { packed: { wrappers: ['zip', 'gz'] } }],
  unencrypted: [{ info: { references: [], details: {}, encryption: 'LUKS' } }],
  'azure-fixed-vhd': [{ format: 'vhdx', subformat: 'fixed' }, { subformat: 'dynamic' }, { format: 'raw' }],
  'azure-whole-mib': [{ virtualSize: 2 * GIB + 64 * KIB, fileSize: 2 * GIB + 64 * KIB + 512 }],
  'azure-file-size': [{ fileSize: 2 * GIB }, { fileSize: 2 * GIB + 511 }],
  'azure-largest': [{ virtualSize: 32 * TIB + MIB, fileSize: 32 * TIB + MIB + 512 }],
  'azure-smallest': [{ virtualSize: 19 * MIB, fileSize: 19 * MIB + 512 }],
  'aws-format': [{ format: 'qcow2' }, { subformat: 'monolithicSparse' }, { format: 'vdi' }],
  'aws-sesparse': [{ subformat: 'seSparse' }],
  'gcp-packed': [{}, packed('xz'), { packed: { wrappers: ['gz'] } }],
  'gcp-disk-raw': [{ packed: { wrappers: ['tar', 'gz'], name: 'sda.raw' } }],
  'gcp-raw': [{ format: 'qcow2' }],
  'gcp-whole-gib': [{ virtualSize: 2 * GIB + MIB }],
  'oci-format': [{ format: 'raw' }, { subformat: 'twoGbMaxExtentSparse' }],
  'oci-largest': [{ virtualSize: 401 * GB }],
  'digitalocean-format': [{ format: 'vhd' }, { format: 'qed' }],
  'digitalocean-no-iso': [{ format: 'raw', contents: { kind: 'iso9660' } }],
  'digitalocean-largest': [{ virtualSize: 101 * GIB }],
  'digitalocean-nearly-largest': [{ virtualSize: 101 * GB }],
  'esxi-stream-optimized': [{ subformat: 'monolithicSparse' }, { format: 'vdi' }],
  'esxi-version-3': [withDetails({ 'header-version': 1 })],
  'esxi-scsi': [withDetails({ 'adapter-type': 'ide' })],
  'virtualbox-format': [{ format: 'qcow2' }, { format: 'raw' }],
  'hyperv-format': [{ format: 'vmdk' }],
  'hyperv-largest-vhd': [{ format: 'vhd', virtualSize: 2041 * GIB }],
  'hyperv-largest-vhdx': [{ virtualSize: 65 * TIB }],
  'hyperv-dense-file': [{ allocatedBytes: GIB }],
  'proxmox-format': [{ format: 'vdi' }],
  'xcpng-format': [{ format: 'vdi' }, { format: 'raw' }],
  'xcpng-newer-release': [{ format: 'qcow2' }, { format: 'vhdx' }, { format: 'vmdk' }],
  'xcpng-dynamic': [{ subformat: 'fixed' }],
  'xcpng-not-vpc': [withDetails({ creator: 'qemu Wi2k' }), withDetails({ creator: 'qem2 Wi2k' })],
  'xcpng-largest-vhd': [{ virtualSize: 2041 * GIB }],
  'kubevirt-format': [{ format: 'qed' }],
  'kubevirt-scratch-space': [{ format: 'vmdk' }, { format: 'vhd' }],
  'ceph-raw': [{ format: 'qcow2' }],
  'openstack-format': [
    { format: 'vhd', subformat: 'fixed' },
    { format: 'vmdk', subformat: 'monolithicFlat' },
  ],
  'openstack-no-extended-l2': [withDetails({ 'extended-l2': true })],
  'openstack-hybrid-gpt': [{ partitionTable: { kind: 'hybrid' } }],
};
const NO_PARTITIONS = new Set(['gcp-partitioned', 'oci-partitioned', 'digitalocean-partitioned']);

function keeps({ name }: TargetProfile): Candidate {
  return { ...plain, ...KEEPS[name] };
}

function breaking(profile: TargetProfile, rule: string): readonly Candidate[] {
  // What is not packed breaks a rule already.
  const base = profile.name === 'gcp' ? plain : keeps(profile);
  const { partitionTable: _divided, ...undivided } = base;
  if (NO_PARTITIONS.has(rule)) return [undivided];
  return (BREAKS[rule] ?? []).map((change) => Object.assign({}, base, change));
}

describe.each(targetProfiles)('$name', (profile) => {
  test('takes an image that keeps every rule', () => {
    expect(lintCandidate(profile, keeps(profile))).toMatchObject({ verdict: 'accepted', findings: [] });
  });

  test.each(profile.rules)('tells when $id is broken', ({ id, severity }) => {
    const candidates = breaking(profile, id);
    expect(candidates.length).toBeGreaterThan(0);
    for (const candidate of candidates) {
      const { verdict, findings } = lintCandidate(profile, candidate);
      expect(findings.map(({ rule }) => rule)).toContain(id);
      if (severity === 'refusal') expect(verdict).toBe('refused');
    }
  });

  test('every rule has a source, a sentence and a way to mend it', () => {
    for (const { sources, sentence, mend } of profile.rules) {
      expect(sources.length).toBeGreaterThan(0);
      expect(sentence).toMatch(/^[A-Z].*\.$/);
      expect(mend).not.toBe('');
    }
    expect(new Set(profile.rules.map(({ id }) => id)).size).toBe(profile.rules.length);
  });

  test('the output it picks is one that can be written', () => {
    const { format, options, sizeMultiple = 1 } = profile.output;
    const request = { virtualSize: 64 * MIB, options, fileName: 'disk', seed: new Uint8Array(16) };
    const layout = findFormat(format)?.writer?.layout(request);
    expect(layout).toMatchObject({ format, virtualSize: 64 * MIB });
    expect(GIB % sizeMultiple).toBe(0);
  });

  test('docs/targets.md has every rule in the same words', async () => {
    const document = await readFile(join(import.meta.dirname, '../../../../docs/targets.md'), 'utf8');
    expect(document).toContain(`\`${profile.name}\``);
    const rows = profile.rules.map(
      ({ id, severity, sentence, mend }) => `| \`${id}\` | ${severity} | ${sentence} | ${mend} |`,
    );
    expect(rows.filter((row) => !document.includes(row))).toEqual([]);
  });
});

describe('a container', () => {
  const kubevirt = findTarget('kubevirt');
  if (kubevirt === undefined) throw new Error('the target is there');

  test('that was not opened is judged alone, and the rest is said not to be looked at', () => {
    const { verdict, unchecked } = lintCandidate(kubevirt, { ...plain, ...packed('xz'), format: 'raw' });
    expect(verdict).toBe('accepted');
    expect(unchecked[0]).toBe('the image inside the xz container');
  });

  test('that could not be opened is no sound image', () => {
    const findings = [{ code: 'unreadable-container', severity: 'unsafe', message: 'It ends early' }] as const;
    const { verdict, findings: broken } = lintCandidate(kubevirt, { ...plain, ...packed('xz'), findings });
    expect(verdict).toBe('refused');
    expect(broken.map(({ rule }) => rule)).toEqual(['sound']);
  });

  test('that was opened is judged together with the image inside', () => {
    const { findings } = lintCandidate(kubevirt, { ...plain, format: 'qed', packed: { wrappers: ['zip'] } });
    expect(findings.map(({ rule }) => rule)).toEqual(['unpacked', 'kubevirt-format']);
  });
});

test('what no conversion mends is told apart', () => {
  const azure = findTarget('Azure');
  if (azure === undefined) throw new Error('the target is there');
  const small = { ...plain, format: 'qcow2', virtualSize: MIB + 512 } as const;
  expect(lintDisk(azure, small).map(({ rule }) => rule)).toEqual(['azure-smallest']);
});

test('refusals stand before warnings', () => {
  const xcpng = findTarget('xcpng');
  if (xcpng === undefined) throw new Error('the target is there');
  const fixed = { ...plain, format: 'vhd', subformat: 'fixed', virtualSize: 2041 * GIB } as const;
  expect(lintCandidate(xcpng, fixed).findings.map(({ severity }) => severity)).toEqual(['refusal', 'warning']);
});
