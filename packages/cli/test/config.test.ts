import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { diskmorph, diskmorphJson, startDiskmorph } from './run-diskmorph.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'diskmorph-config-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** A configuration of directories that are there; `more` is added to it. */
async function configuration(more: string): Promise<string> {
  for (const name of ['work', 'images', 'state']) await mkdir(join(dir, name));
  const file = join(dir, 'diskmorph.conf');
  const text = `[task]\nwork_dir = ${dir}/work\n[glance_store]\nfilesystem_store_datadir = ${dir}/images\n[diskmorph]\nstate_database = sqlite:${dir}/state/state.db\n`;
  await writeFile(file, `${text}${more}`);
  return file;
}

function checkAsJson(...line: string[]): Promise<Record<string, unknown>> {
  return diskmorphJson('config', 'check', ...line);
}

describe('diskmorph config check', () => {
  test('a good configuration: exit code 0, nothing made', async () => {
    const file = await configuration('');
    const { code, out, err } = await diskmorph('config', 'check', '--config-file', file);
    expect({ code, out, err }).toEqual({ code: 0, out: `${file}: 0 problems, 0 warnings\n`, err: '' });
    expect(await readdir(dir, { recursive: true })).toEqual(['diskmorph.conf', 'images', 'state', 'work']);
  });

  test('all problems of all kinds at once: values, directories, target options, access, the open address', async () => {
    const file = await configuration(
      [
        '[taskflow_executor]\nmax_workers = many\nconversion_format = vhd',
        `[os_glance_tasks_store]\nfilesystem_store_datadir = ${dir}/gone`,
        `[DEFAULT]\nenabled_backends = a:file\nbind_host = 0.0.0.0`,
        `[a]\nfilesystem_store_datadir = ${dir}/gone-too`,
        `[os_glance_staging_store]\nfilesystem_store_datadir = ${dir}/work`,
        '[diskmorph]\nqcow2_options = cluster_size=7',
        `[oslo_policy]\npolicy_file = ${dir}/no-policy.yaml`,
        '[image_format]\ndisk_fromats = raw',
      ].join('\n'),
    );
    const { code, out, err } = await diskmorph('config', 'check', '--config-file', file);
    expect(code).toBe(78);
    expect(out).toMatch(/: 7 problems, 1 warning\n$/);
    for (const named of [
      'max_workers = many',
      'conversion_format = vhd',
      `filesystem_store_datadir = ${dir}/gone:`,
      `[a] filesystem_store_datadir = ${dir}/gone-too`,
      'qcow2_options = cluster_size=7',
      'policy_file',
      'bind_host = 0.0.0.0',
      'did you mean "disk_formats"?',
    ])
      expect(err).toContain(named);
  });

  test('without a file: the built-in configuration, whose directories are made at the first start, not now', async () => {
    const state = join(dir, 'not-yet');
    const { code, out } = await diskmorph('config', 'check', '--state-dir', state);
    expect({ code, out }).toEqual({ code: 0, out: '(built in): 0 problems, 0 warnings\n' });
    expect(await readdir(dir)).toEqual([]);
  });

  test('files and directories count in the order of the line', async () => {
    const file = await configuration('');
    const conf = join(dir, 'conf.d');
    await mkdir(conf);
    await writeFile(join(conf, '20-last.conf'), '[taskflow_executor]\nmax_workers = last\n');
    await writeFile(join(conf, '10-first.conf'), '[taskflow_executor]\nmax_workers = first\n');
    const own = join(dir, 'own.conf');
    await writeFile(own, '[taskflow_executor]\nmax_workers = 3\n');
    expect(await checkAsJson('--config-file', file, '--config-dir', conf)).toMatchObject({
      problems: [{ option: 'max_workers', value: 'last', origin: `${conf}/20-last.conf:2` }],
    });
    expect(await checkAsJson('--config-file', file, '--config-dir', conf, '--config-file', own)).toMatchObject({
      files: [file, `${conf}/10-first.conf`, `${conf}/20-last.conf`, own],
      problems: [],
    });
  });

  test('the environment is checked too', async () => {
    const file = await configuration('');
    const env = { OS_TASKFLOW_EXECUTOR__MAX_WORKERS: '0' };
    const { code, err } = await startDiskmorph(['config', 'check', '--config-file', file], { env }).finished;
    expect(code).toBe(78);
    expect(err).toContain('(OS_TASKFLOW_EXECUTOR__MAX_WORKERS)');
  });

  test('an action that is not there is refused', async () => {
    expect((await diskmorph('config', 'mend')).code).toBe(64);
  });
});

test('diskmorph config sample prints the file that docs/ has', async () => {
  const sample = join(import.meta.dirname, '..', '..', '..', 'docs', 'diskmorph.conf.sample');
  const { code, out } = await diskmorph('config', 'sample');
  expect(code).toBe(0);
  expect(out).toBe(await readFile(sample, 'utf8'));
});
