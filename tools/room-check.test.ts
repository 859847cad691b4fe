import { describe, expect, test } from 'vitest';
import { checkSource } from './rooms/check-source.ts';
import { ROOMS } from './rooms/room-rules.ts';

const CORE = 'packages/disk-image/src';
const SERVICE = 'packages/image-service/src';

/** What is wrong with a planted source, as `line: law`. */
function lawsBrokenBy(path: string, source: string): string[] {
  return checkSource(path, source).map((violation) => `${violation.line}: ${violation.law}`);
}

describe('imports', () => {
  test.each([
    {
      path: `${CORE}/bytes/a.ts`,
      source: `import { x } from '../image/reference.ts';`,
      law: '1: bytes must not import image',
    },
    {
      path: `${CORE}/image/a.ts`,
      source: `import { raw } from '../formats/raw/raw.ts';`,
      law: '1: image must not import formats/raw',
    },
    {
      path: `${CORE}/formats/vmdk/a.ts`,
      source: `\nimport { x } from '../raw/raw.ts';`,
      law: '2: formats/vmdk must not import formats/raw',
    },
    {
      path: `${CORE}/convert/a.ts`,
      source: `import { formats } from '../formats/all.ts';`,
      law: '1: convert must not import the list of formats',
    },
    {
      path: `${CORE}/inspect/a.ts`,
      source: `export * from '../convert/plan.ts';`,
      law: '1: inspect must not import convert',
    },
    {
      path: `${CORE}/inspect/a.ts`,
      source: `const plan = await import('../convert/plan.ts');`,
      law: '1: inspect must not import convert',
    },
    {
      path: `${CORE}/image/a.ts`,
      source: `import { open } from 'node:fs';`,
      law: '1: image must not use node:',
    },
    {
      path: 'packages/disk-image-node/src/a.ts',
      source: `import { x } from '@diskmorph/image-service';`,
      law: '1: disk-image-node must not import image-service',
    },
    {
      path: 'packages/disk-image-node/src/a.ts',
      source: `import { x } from '../../disk-image/src/index.ts';`,
      law: '1: disk-image-node must reach other packages by their name, not by a path',
    },
    {
      path: `${SERVICE}/store/a.ts`,
      source: `import { openImage } from '@diskmorph/disk-image';`,
      law: '1: store must not import disk-image',
    },
    {
      path: `${SERVICE}/flow/a.ts`,
      source: `import type { Task } from '../catalog/task.ts';`,
      law: '1: flow must not import catalog',
    },
    {
      path: `${SERVICE}/auth/a.ts`,
      source: `import { Catalog } from '../catalog/repositories.ts';`,
      law: '1: auth must not import catalog',
    },
    {
      path: 'packages/cli/src/commands/convert.ts',
      source: `import { x } from '@diskmorph/image-service';`,
      law: '1: cli must not import image-service',
    },
    {
      path: 'packages/disk-image/src/loose.ts',
      source: '',
      law: '1: every source file belongs to a room',
    },
  ])('$path: $law', ({ path, source, law }) => {
    expect(lawsBrokenBy(path, source)).toEqual([law]);
  });

  test.each([
    { path: `${CORE}/bytes/a.ts`, source: `import { ImageError } from '../errors.ts';` },
    { path: `${CORE}/formats/all.ts`, source: `import { raw } from './raw/raw.ts';` },
    { path: `${CORE}/formats/vmdk/a.ts`, source: `import { b } from './b.ts';` },
    { path: `${CORE}/index.ts`, source: `export * from './formats/all.ts'; export * from './convert/plan.ts';` },
    { path: `${SERVICE}/store/a.ts`, source: `import type { ByteSource } from '@diskmorph/disk-image';` },
    { path: 'packages/cli/src/commands/import.ts', source: `import { x } from '@diskmorph/image-service';` },
    { path: `${CORE}/bytes/a.test.ts`, source: `import { readFile } from 'node:fs/promises'; // qcow2` },
    { path: `${CORE}/bytes/a.ts`, source: `const text = "import x from '../image/reference.ts'";` },
  ])('$path may hold: $source', ({ path, source }) => {
    expect(lawsBrokenBy(path, source)).toEqual([]);
  });
});

describe('words', () => {
  test.each([
    { path: `${CORE}/bytes/a.ts`, source: 'const extentCount = 1;', law: '1: bytes must not say "extent"' },
    { path: `${CORE}/bytes/a.ts`, source: '/* as in\n QCOW2 */', law: '2: bytes must not say "qcow2"' },
    { path: `${CORE}/image/a.ts`, source: 'const MAX_CLUSTERS = 1;', law: '1: image must not say "cluster"' },
    { path: `${CORE}/image/a.ts`, source: 'const grainTable = 1;', law: '1: image must not say "grain table"' },
    { path: `${CORE}/image/a.ts`, source: '// the grain\n// tables', law: undefined },
    { path: `${CORE}/image/a.ts`, source: `const x = 'vmdk';`, law: '1: image must not say "vmdk"' },
    { path: `${CORE}/convert/a.ts`, source: 'const x = `a ${readBat()} b`;', law: '1: convert must not say "bat"' },
    { path: `${CORE}/convert/a.ts`, source: '// BAT', law: '1: convert must not say "bat"' },
    { path: `${CORE}/formats/vhd/a.ts`, source: '// unlike VHDX', law: '1: formats/vhd must not say "vhdx"' },
    { path: `${SERVICE}/flow/a.ts`, source: 'const imageId = 1;', law: '1: flow must not say "image"' },
    { path: `${SERVICE}/import/a.ts`, source: `get('X-Auth-Token');`, law: '1: import must not hold a header name' },
    {
      path: `${SERVICE}/catalog/images.ts`,
      source: 'run(`select id from things`);',
      law: '1: catalog must not hold SQL',
    },
    { path: 'packages/cli/src/a.ts', source: 'const image_id = 1;', law: '1: cli must not say "image id"' },
  ])('$path: $source', ({ path, source, law }) => {
    expect(lawsBrokenBy(path, source)).toEqual(law === undefined ? [] : [law]);
  });

  test.each([
    { path: `${CORE}/convert/a.ts`, source: 'const batch = combat(acrobatics);' },
    { path: `${CORE}/image/format-name.ts`, source: `export type FormatName = 'raw' | 'qcow2';` },
    { path: `${CORE}/image/a.ts`, source: '// raw bytes run in parallel' },
    { path: `${CORE}/formats/qcow2/backing.ts`, source: `const FORMATS = ['vmdk', 'raw'];` },
    { path: `${CORE}/formats/vhd/a.ts`, source: '// https://example.org/http' },
    { path: `${SERVICE}/catalog/database/schema.ts`, source: 'run(`select id from things`);' },
    { path: `${SERVICE}/flow/a.ts`, source: 'const restored = information;' },
  ])('$path may say: $source', ({ path, source }) => {
    expect(lawsBrokenBy(path, source)).toEqual([]);
  });
});

describe('identifiers of a platform', () => {
  test.each(['process.exit()', 'Buffer.from(x)', 'window.x', 'x = document', 'console.log(1)'])('%s', (source) => {
    expect(lawsBrokenBy(`${CORE}/inspect/a.ts`, source)).toHaveLength(1);
  });

  test.each([
    '// the process prints to the console',
    `throw new Error('process failed');`,
    'const buffer = new ArrayBuffer(view.window);',
    'const pattern = /console/;',
    'const half = a / 2; // console\nconst other = b / 2;',
  ])('%s may stand', (source) => {
    expect(lawsBrokenBy(`${CORE}/inspect/a.ts`, source)).toEqual([]);
  });

  test('code inside a template is code', () => {
    expect(lawsBrokenBy(`${CORE}/inspect/a.ts`, 'x = `a ${{ b: console }} c`;\ny = `console`;')).toEqual([
      '1: inspect must not use console',
    ]);
  });
});

describe('every file', () => {
  const reminder = ['TO', 'DO'].join('');
  test.each([
    { path: `${CORE}/bytes/byte-utils.ts`, source: '', law: 'never utils' },
    { path: `${CORE}/convert/helpers/a.ts`, source: '', law: 'never utils' },
    { path: `${CORE}/bytes/a.test.ts`, source: `// ${reminder} later`, law: 'no reminder' },
    { path: `${CORE}/bytes/a.ts`, source: `const x = '/root/disk.img';`, law: 'no path of one machine' },
  ])('$path: $law', ({ path, source, law }) => {
    expect(lawsBrokenBy(path, source)).toEqual([expect.stringContaining(law)]);
  });

  test('a word that only resembles a forbidden name may name a file', () => {
    expect(lawsBrokenBy(`${CORE}/bytes/commonality.ts`, '')).toEqual([]);
  });
});

test('every room that a rule names exists', () => {
  const packages = ['disk-image', 'disk-image-node', 'image-service', 'everything'];
  const known = new Set([...ROOMS.map((room) => room.name), ...packages]);
  const named = ROOMS.flatMap((room) => room.mayImport.concat(room.mayImportTypesOf ?? []));
  expect(named.filter((name) => !known.has(name))).toEqual([]);
});
