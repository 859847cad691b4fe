import { describe, expect, test } from 'vitest';
import { ImageError } from '../../errors.ts';
import { descriptorFaults } from './create-type.ts';
import { looksLikeDescriptor, parseDescriptor } from './descriptor.ts';
import { descriptorText } from './descriptor-text.ts';
import { extentNameFault } from './extent-name.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const parse = (text: string): ReturnType<typeof parseDescriptor> => parseDescriptor(bytes(text), 0);

const WORKSTATION = `# Disk DescriptorFile
version=1
encoding="windows-1252"
CID=fffffffe
parentCID=ffffffff
isNativeSnapshot="no"
createType="twoGbMaxExtentSparse"

# Extent description
RW 4192256 SPARSE "Debian 12-s001.vmdk"
RDONLY 63 ZERO
RW 2048 FLAT "Debian 12-f002.vmdk" 128

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "522"
ddb.virtualHWVersion = "10"
`;

describe('a descriptor is understood', () => {
  test.each([
    { name: 'with LF', text: WORKSTATION },
    { name: 'with CRLF', text: WORKSTATION.replaceAll('\n', '\r\n') },
    { name: 'with NULs behind it', text: `${WORKSTATION}\0\0\0RW 5 FLAT "later" 0` },
    { name: 'with blanks around everything', text: WORKSTATION.replaceAll('\n', ' \t\n  ') },
    { name: 'with blanks around equal signs', text: WORKSTATION.replaceAll('=', ' = ') },
  ])('$name', ({ text }) => {
    const descriptor = parse(text);
    expect(descriptor).toMatchObject({
      version: 1,
      encoding: 'windows-1252',
      cid: 0xfffffffe,
      parentCid: 0xffffffff,
      createType: 'twoGbMaxExtentSparse',
      parentFileNameHint: undefined,
    });
    expect(descriptor.extents).toEqual([
      { access: 'RW', length: 4192256 * 512, type: 'SPARSE', name: 'Debian 12-s001.vmdk', offset: 0 },
      { access: 'RDONLY', length: 63 * 512, type: 'ZERO', name: undefined, offset: 0 },
      { access: 'RW', length: 2048 * 512, type: 'FLAT', name: 'Debian 12-f002.vmdk', offset: 128 * 512 },
    ]);
    expect(Object.fromEntries(descriptor.database)).toEqual({
      adapterType: 'lsilogic',
      'geometry.cylinders': '522',
      virtualHWVersion: '10',
    });
  });

  test('in the encoding that it names', () => {
    const name = Uint8Array.from([...bytes('encoding="windows-1252"\nRW 8 FLAT "K'), 0xf6, ...bytes('ln.vmdk" 0\n')]);
    expect(parseDescriptor(name, 0).extents[0]?.name).toBe('Köln.vmdk');
    expect(parse('RW 8 FLAT "Köln.vmdk" 0').extents[0]?.name).toBe('Köln.vmdk');
  });

  test.each([
    { name: 'an extent line without a size', text: 'RW FLAT "x" 0' },
    { name: 'an extent size beyond any file', text: 'RW 9007199254740993 FLAT "x" 0' },
    { name: 'a CID that is no number', text: 'CID=hello' },
    { name: 'a parentCID of 9 digits', text: 'parentCID=fffffffff' },
    { name: 'two different createTypes', text: 'createType="vmfs"\ncreateType="monolithicFlat"' },
    { name: 'two CIDs that differ in case of the key', text: 'CID=1\ncid=2' },
    { name: 'an unknown encoding', text: 'encoding="klingon"\nRW 8 FLAT "Köln" 0' },
  ])('not with $name', ({ text }) => {
    expect(() => parse(text)).toThrow(ImageError);
  });

  test('not when its bytes are not UTF-8 and it names no encoding', () => {
    expect(() => parseDescriptor(Uint8Array.from([0x23, 0xff, 0xfe, 0x0a]), 0)).toThrow(/utf-8/);
  });
});

describe('a descriptor is recognised', () => {
  test.each([
    { text: '# Disk DescriptorFile\nversion=1\n', expected: true },
    { text: '# disk descriptorfile\r\n', expected: true },
    { text: '\n  # made by hand\n\nversion=2\n', expected: true },
    { text: 'version = 3', expected: true },
    { text: '#!/bin/sh\necho version=1\n', expected: false },
    { text: 'versionless', expected: false },
    { text: '', expected: false },
  ])('$text: $expected', ({ text, expected }) => {
    expect(looksLikeDescriptor(bytes(text))).toBe(expected);
  });
});

test.each([
  { name: 'disk-flat.vmdk', allowed: true },
  { name: 'Win 10 (2)-s001.vmdk', allowed: true },
  { name: 'a..b.vmdk', allowed: true },
  { name: 'Köln.vmdk', allowed: true },
  { name: ' .. ', allowed: false },
  { name: 'a/b', allowed: false },
  { name: 'a\\b', allowed: false },
  { name: '\\\\.\\PhysicalDrive0', allowed: false },
  { name: 'disk.vmdk:stream', allowed: false },
  { name: 'a\u0000', allowed: false },
  { name: '', allowed: false },
])('the extent name $name is allowed: $allowed', ({ name, allowed }) => {
  expect(extentNameFault(name) === undefined).toBe(allowed);
});

test('a descriptor that is written has no fault and says what was asked', () => {
  const parameters = {
    subformat: 'twoGbMaxExtentFlat',
    adapterType: 'buslogic',
    hardwareVersion: 13,
    toolsVersion: 7,
    zeroedGrains: false,
    compressionLevel: -1,
    contentId: 0xbeef,
    fileName: 'Köln.vmdk',
  } as const;
  const extents = [{ name: 'Köln-f001.vmdk', type: 'FLAT', length: 8 * 2 ** 30 }] as const;
  const descriptor = parseDescriptor(descriptorText(parameters, 8 * 2 ** 30, extents), 0);
  expect(descriptorFaults(descriptor, 'separate')).toEqual([]);
  expect(descriptor).toMatchObject({ cid: 0xbeef, encoding: 'UTF-8', createType: 'twoGbMaxExtentFlat' });
  expect(descriptor.extents[0]?.name).toBe('Köln-f001.vmdk');
  expect(descriptor.database.get('geometry.cylinders')).toBe('1044');
});
