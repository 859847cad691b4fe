import { readFile, writeFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';
import { diskmorph, SAMPLE, startDiskmorph } from './run-diskmorph.ts';
import { useScratch } from './scratch.ts';

const scratch = useScratch();

/** Where the sample's header says that its L1 table lies: the byte that a damaged copy points elsewhere. */
const L1_TABLE_OFFSET_FIELD = 40;

beforeAll(async () => {
  const sample = await readFile(SAMPLE);
  await writeFile(scratch.path('empty.img'), '');
  await writeFile(scratch.path('cut-header.qcow2'), sample.subarray(0, 60));
  await writeFile(scratch.path('cut-data.qcow2'), sample.subarray(0, sample.length - 4096));
  const astray = Buffer.from(sample);
  astray.writeBigUInt64BE(0x7777n, L1_TABLE_OFFSET_FIELD);
  await writeFile(scratch.path('astray.qcow2'), astray);
  await writeFile(scratch.path('noise.vmdk'), Buffer.from('KDMV'.padEnd(2048, '\u0007\u001b[31m')));
});

const COMMANDS = ['convert', 'inspect', 'info', 'map', 'check', 'digest', 'measure', 'compare'] as const;
const BAD_FILES = ['empty.img', 'cut-header.qcow2', 'cut-data.qcow2', 'astray.qcow2', 'noise.vmdk', 'none.raw', '.'];

function lineFor(command: (typeof COMMANDS)[number], file: string): string[] {
  if (command === 'convert') return ['convert', '-O', 'raw', file, scratch.path('never.raw'), '--force'];
  if (command === 'measure') return ['measure', '-O', 'qcow2', file];
  return command === 'compare' ? ['compare', file, SAMPLE] : [command, file];
}

test.each(BAD_FILES)('%s gives every command a clear end: no stack trace, no control characters', async (name) => {
  for (const command of COMMANDS) {
    const { code, out, err } = await diskmorph(...lineFor(command, scratch.path(name)));
    expect({ command, isBug: code === 70 || code === null }).toEqual({ command, isBug: false });
    expect(out + err).not.toMatch(/^\s+at .+:\d+|node:internal|ImageError/m);
    // oxlint-disable-next-line no-control-regex -- these must not reach a terminal
    expect(out + err).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  }
});

test.each([
  { name: 'no command', args: [], code: 64, says: 'Usage: diskmorph COMMAND' },
  { name: 'a mistyped command', args: ['convrt'], code: 64, says: 'did you mean convert? [usage]' },
  { name: 'a mistyped option', args: ['convert', '--forse'], code: 64, says: 'did you mean --force? [usage]' },
  { name: 'a missing file', args: ['info'], code: 64, says: 'FILE is missing [usage]' },
  { name: 'an argument too many', args: ['info', 'a', 'b'], code: 64, says: '"b" is one argument too many' },
  { name: 'a missing value', args: ['convert', '-O'], code: 64, says: '-O needs a value: -O FMT' },
  { name: 'a value for a flag', args: ['convert', '--force=yes'], code: 64, says: '--force takes no value' },
  { name: 'no output format', args: ['convert', 'a', 'b'], code: 64, says: '-O FMT is missing' },
  { name: 'a number that is none', args: ['digest', '--workers', 'x', SAMPLE], code: 64, says: '--workers x is not' },
  {
    name: 'an unknown format',
    args: ['info', '-f', 'nope', SAMPLE],
    code: 11,
    says: '"nope" is not a known image format',
  },
  {
    name: 'an unknown option of a format',
    args: ['convert', '-O', 'qcow2', '-o', 'no=1', SAMPLE, 'x'],
    code: 15,
    says: 'no option "no"',
  },
  { name: 'a file that is not there', args: ['info', '/nowhere/x'], code: 16, says: 'no such file [io]' },
  { name: 'the wrong format', args: ['map', '-f', 'vmdk', SAMPLE], code: 10, says: '[wrong_format]' },
])('$name ends with $code', async ({ args, code, says }) => {
  const run = await diskmorph(...args);
  expect(run).toMatchObject({ code, out: '' });
  expect(run.err).toContain(says);
});

test('the place of the damage is told in words and as JSON', async () => {
  const run = await diskmorph('digest', '--json', scratch.path('cut-header.qcow2'));
  expect(run).toMatchObject({ code: 13 });
  expect(run.err).toMatch(/\[truncated\]\n {2}where: +qcow2, header, at byte 60 \(0x3c\)\n {2}what to do: /);
  expect(JSON.parse(run.out)).toMatchObject({
    error: { code: 'truncated', format: 'qcow2', offset: 60, exitCode: 13 },
  });
});

test('DISKMORPH_DEBUG=1 shows where the program gave up', async () => {
  const run = await startDiskmorph(['info', '/nowhere/x'], { env: { DISKMORPH_DEBUG: '1' } }).finished;
  expect(run.err).toMatch(/^\s+at /m);
});

test.each(COMMANDS)('the help of %s shows usage, options and an example', async (command) => {
  const run = await diskmorph(command, '--help');
  expect(run).toMatchObject({ code: 0, err: '' });
  expect(run.out).toMatch(new RegExp(`^Usage: diskmorph ${command} `));
  expect(run.out).toContain('Examples:');
  expect(await diskmorph('help', command)).toEqual(run);
});
