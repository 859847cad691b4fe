import { gzipSync, zstdCompressSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { memorySource } from '../src/bytes/byte-source.ts';
import { ascii } from '../src/bytes/numbers.ts';
import { portableCodecs } from '../src/bytes/portable-codecs.ts';
import { ImageError } from '../src/errors.ts';
import { formats } from '../src/formats/all.ts';
import type { InspectOptions } from '../src/inspect/inspect.ts';
import { inspect } from '../src/inspect/inspect.ts';
import type { Verdict } from '../src/inspect/verdict.ts';
import { GOLDEN_SIZE, golden, joined, makeGoldens, patched } from './goldens.ts';
import { mbrSector, tarHeader, withIso, ZIP_END } from './inspect-disks.ts';

let goldens: ReadonlyMap<string, Uint8Array>;
beforeAll(async () => {
  goldens = await makeGoldens();
});

function verdictOn(bytes: Uint8Array, options: Partial<InspectOptions> = {}): Promise<Verdict> {
  return inspect(memorySource(bytes), { codecs: portableCodecs, formats, ...options });
}

function grave(verdict: Verdict): readonly string[] {
  return verdict.findings.filter(({ severity }) => severity !== 'info').map(({ code }) => code);
}

function vhdFooter(): Uint8Array {
  return golden(goldens, 'vhd-fixed').slice(-512);
}

const blank = new Uint8Array(256 * 1024);
const iso = withIso(blank, 128);

describe('what qemu-img made', () => {
  test.each([
    { name: 'vhd-dynamic', format: 'vhd', subformat: 'dynamic', size: 4212736, findings: [] },
    { name: 'vhd-fixed', format: 'vhd', subformat: 'fixed', size: 4212736, findings: [] },
    { name: 'vhdx-dynamic', format: 'vhdx', subformat: 'dynamic', findings: [] },
    { name: 'vdi-dynamic', format: 'vdi', subformat: 'dynamic', findings: [] },
    { name: 'vdi-static', format: 'vdi', subformat: 'static', findings: [] },
    { name: 'qed', format: 'qed', findings: [] },
    { name: 'qed-backing', format: 'qed', findings: ['backing-file'] },
    { name: 'parallels', format: 'parallels', subformat: 'expandable', findings: [] },
    { name: 'luks', format: 'luks', subformat: 'LUKS1', findings: ['encrypted'] },
    { name: 'qcow', format: 'qcow', subformat: 'version 1', findings: [] },
    { name: 'qcow-backing', format: 'qcow', findings: ['backing-file'] },
    { name: 'qcow-encrypted', format: 'qcow', findings: ['encrypted', 'guest-not-read'] },
    { name: 'qcow2', format: 'qcow2', findings: [] },
    { name: 'qcow2-backing', format: 'qcow2', findings: ['backing-file'] },
    { name: 'vmdk-sparse', format: 'vmdk', subformat: 'monolithicSparse', findings: [] },
    { name: 'vmdk-stream', format: 'vmdk', subformat: 'streamOptimized', findings: [] },
  ])('$name', async ({ name, format, subformat, size, findings }) => {
    const verdict = await verdictOn(golden(goldens, name), { declared: format });
    expect(verdict).toMatchObject({ format, candidates: [format], virtualSize: size ?? GOLDEN_SIZE });
    if (subformat !== undefined) expect(verdict.subformat).toBe(subformat);
    expect(grave(verdict)).toEqual(findings);
    expect(verdict.verdict).toBe(findings.length === 0 ? 'safe' : 'unsafe');
  });

  test('an encrypted qcow2 is unsafe, and the method is named', async () => {
    const verdict = await verdictOn(golden(goldens, 'qcow2-encrypted'));
    expect(grave(verdict)).toContain('encrypted');
    expect(verdict.info?.encryption).toBe('AES');
  });

  test('a verdict is plain data', async () => {
    const verdict = await verdictOn(golden(goldens, 'vhdx-dynamic'), { declared: 'vhdx' });
    expect(JSON.parse(JSON.stringify(verdict))).toEqual(verdict);
  });
});

describe('declared against detected', () => {
  test.each([
    { declared: 'qcow2', file: 'qcow2', verdict: 'safe' },
    { declared: 'QCOW2', file: 'qcow2', verdict: 'safe' },
    { declared: 'vpc', file: 'vhd-fixed', verdict: 'safe' },
    { declared: 'ploop', file: 'parallels', verdict: 'safe' },
    { declared: 'raw', file: 'qcow2', verdict: 'unsafe' },
    { declared: 'raw', file: 'vhd-fixed', verdict: 'unsafe' },
    { declared: 'gpt', file: 'qcow2', verdict: 'unsafe' },
    { declared: 'qcow2', file: 'qcow', verdict: 'unsafe' },
    { declared: 'sausage', file: 'qcow2', verdict: 'unsafe' },
  ])('$file declared as $declared: $verdict', async ({ declared, file, verdict }) => {
    const found = await verdictOn(golden(goldens, file), { declared });
    expect(found.verdict).toBe(verdict);
    expect(grave(found)).toEqual(verdict === 'safe' ? [] : ['format-mismatch']);
    expect(found.declared).toBe(declared);
  });

  test.each([
    { declared: 'raw', bytes: blank, findings: [] },
    { declared: 'ami', bytes: blank, findings: [] },
    { declared: 'gpt', bytes: blank, findings: [] },
    { declared: 'iso', bytes: blank, findings: ['format-mismatch'] },
    { declared: 'iso', bytes: iso, findings: [] },
    { declared: 'raw', bytes: iso, findings: ['format-mismatch'] },
    { declared: 'ari', bytes: gzipSync(blank), findings: [] },
    { declared: 'raw', bytes: gzipSync(blank), findings: ['wrapped'] },
    { declared: 'qcow2', bytes: gzipSync(blank), findings: ['format-mismatch', 'wrapped'] },
  ])('bytes without a header declared as $declared: $findings', async ({ declared, bytes, findings }) => {
    expect(grave(await verdictOn(Uint8Array.from(bytes), { declared }))).toEqual(findings);
  });

  test.each([
    { fileName: 'disk.vmdk', noted: true },
    { fileName: 'disk.img', noted: false },
    { fileName: 'disk.QCOW2', noted: false },
    { fileName: 'disk', noted: false },
  ])('a qcow2 named $fileName', async ({ fileName, noted }) => {
    const verdict = await verdictOn(golden(goldens, 'qcow2'), { fileName });
    expect(verdict.findings.map(({ code }) => code)).toEqual(noted ? ['format-mismatch'] : []);
    expect(verdict.verdict).toBe('safe');
  });
});

describe('several formats in one file', () => {
  const partitioned = mbrSector([{ type: 0x83, first: 1, sectors: 8 }]);

  test.each([
    { name: 'qcow2 header and VHD footer', make: () => joined(golden(goldens, 'qcow2'), vhdFooter()) },
    { name: 'qcow2 header in an ISO', make: () => withIso(golden(goldens, 'qcow2'), 64) },
    {
      name: 'qed header and partition table',
      make: () => patched(golden(goldens, 'qed'), 440, partitioned.slice(440)),
    },
    {
      name: 'VDI signature in the name of a tar',
      make: () => patched(tarHeader('disk.vmdk'), 64, [0x7f, 0x10, 0xda, 0xbe]),
    },
    {
      name: 'qcow header and GUID partition table',
      make: () => patched(golden(goldens, 'qcow'), 512, ascii('EFI PART')),
    },
    { name: 'qcow2 with a zip at its end', make: () => joined(golden(goldens, 'qcow2'), ZIP_END) },
    { name: 'ISO with a zip at its end', make: () => joined(iso, ZIP_END) },
    { name: 'gz and VHD footer', make: () => joined(gzipSync(blank), vhdFooter()) },
    { name: 'LUKS and VHD footer', make: () => joined(golden(goldens, 'luks'), vhdFooter()) },
  ])('$name: unsafe', async ({ make }) => {
    const verdict = await verdictOn(make());
    expect(grave(verdict)).toContain('several-formats');
    expect(verdict.verdict).toBe('unsafe');
  });

  test.each([
    { name: 'a partitioned disk in a fixed VHD', make: () => patched(golden(goldens, 'vhd-fixed'), 0, partitioned) },
    { name: 'an ISO in a fixed VHD', make: () => withIso(golden(goldens, 'vhd-fixed'), 64) },
    { name: 'a hybrid ISO', make: () => patched(iso, 0, partitioned) },
    { name: 'a dynamic VHD with its two footers', make: () => golden(goldens, 'vhd-dynamic') },
  ])('$name is one format', async ({ make }) => {
    expect(grave(await verdictOn(make()))).toEqual([]);
  });
});

describe('contents', () => {
  test('an ISO 9660 volume is raw, with its name and size', async () => {
    const verdict = await verdictOn(iso, { declared: 'iso' });
    expect(verdict.format).toBe('raw');
    expect(verdict.candidates).toEqual(['iso9660']);
    expect(verdict.contents).toEqual({
      kind: 'iso9660',
      volumeId: 'DEBIAN 12',
      volumeSize: 262144,
      joliet: true,
      bootable: true,
    });
  });

  test('a hybrid ISO keeps its partition table', async () => {
    const verdict = await verdictOn(patched(iso, 0, mbrSector([{ type: 0x17, first: 0, sectors: 512 }])));
    expect(verdict.contents?.kind).toBe('iso9660');
    expect(verdict.partitionTable?.kind).toBe('mbr');
  });

  test('an ISO cut short is unsafe', async () => {
    expect(grave(await verdictOn(iso.subarray(0, 128 * 1024)))).toEqual(['truncated']);
  });

  test.each([
    { wrapper: 'gz', bytes: gzipSync(blank) },
    { wrapper: 'zst', bytes: zstdCompressSync(blank) },
    { wrapper: 'xz', bytes: Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 4) },
    { wrapper: 'bz2', bytes: joined(ascii('BZh9'), Uint8Array.of(0x31, 0x41, 0x59, 0x26, 0x53, 0x59)) },
    { wrapper: 'lz4', bytes: Uint8Array.of(4, 0x22, 0x4d, 0x18, 0x64) },
    { wrapper: 'zip', bytes: Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0) },
    { wrapper: 'zip', bytes: joined(blank, ZIP_END) },
    { wrapper: 'tar', bytes: tarHeader('disk.qcow2') },
    { wrapper: 'ova', bytes: tarHeader('appliance.ovf') },
  ])('$wrapper is a wrapper', async ({ wrapper, bytes }) => {
    const verdict = await verdictOn(Uint8Array.from(bytes));
    expect(verdict).toMatchObject({ verdict: 'warning', format: 'raw', contents: { kind: 'wrapper', wrapper } });
    expect(grave(verdict)).toEqual(['wrapped']);
  });

  test.each([
    { name: 'text that begins like bzip2', bytes: ascii('BZh9 is a magic number') },
    { name: 'zeros', bytes: blank },
    { name: 'one byte', bytes: Uint8Array.of(7) },
  ])('$name: plain raw', async ({ bytes }) => {
    expect(await verdictOn(bytes)).toMatchObject({ verdict: 'safe', format: 'raw', candidates: [], findings: [] });
  });

  test('an empty file is a warning', async () => {
    expect(grave(await verdictOn(new Uint8Array(0)))).toEqual(['empty-file']);
  });
});

describe('failures', () => {
  test('a header cut off is unsafe, whatever the format', async () => {
    for (const [name, bytes] of goldens) {
      if (name === 'vhd-fixed') continue;
      const cutAt = name.startsWith('qcow') ? 60 : 100;
      const verdict = await verdictOn(bytes.subarray(0, cutAt));
      expect(verdict.verdict, name).toBe('unsafe');
    }
  });

  test('a read error is thrown, not judged', async () => {
    const broken = { ...memorySource(blank), read: () => Promise.reject(new ImageError('io', 'the cable is out')) };
    await expect(inspect(broken, { codecs: portableCodecs, formats })).rejects.toMatchObject({ code: 'io' });
  });

  test('a fired signal aborts', async () => {
    await expect(verdictOn(blank, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' });
  });

  test('a spent read budget is unsafe', async () => {
    const verdict = await verdictOn(golden(goldens, 'vhdx-dynamic'), { limits: { maxReadBytes: 150 * 1024 } });
    expect(grave(verdict)).toEqual(['unreadable-header']);
  });

  test('the source stays open', async () => {
    let closed = false;
    const source = { ...memorySource(golden(goldens, 'qcow2')), close: async () => void (closed = true) };
    await inspect(source, { codecs: portableCodecs, formats });
    expect(closed).toBe(false);
  });
});
