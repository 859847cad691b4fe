/** `deploy/diskmorph.conf` with the directories of `deploy/systemd/diskmorph.tmpfiles.conf` and a token, as the guide sets it up. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { issueToken } from '../src/auth/tokens/issue-token.ts';
import { checkConfiguration } from '../src/configured.ts';

const DEPLOY = join(import.meta.dirname, '..', '..', '..', 'deploy');

test('the example configuration has no problem where its directories and a token are', async () => {
  const root = await mkdtemp(join(tmpdir(), 'diskmorph-example-'));
  try {
    const places = await readFile(join(DEPLOY, 'systemd', 'diskmorph.tmpfiles.conf'), 'utf8');
    const made = Array.from(places.matchAll(/^d (\S+)/gm), ([, path]) => path ?? '');
    expect(made).toContain('/var/lib/diskmorph/images');
    for (const path of made) await mkdir(join(root, path), { recursive: true });
    const holder = { userId: 'admin', projectId: 'admin', roles: ['admin'] };
    await issueToken(join(root, 'etc/diskmorph/tokens.yaml'), holder, randomBytes);
    const shipped = await readFile(join(DEPLOY, 'diskmorph.conf'), 'utf8');
    const file = join(root, 'etc/diskmorph/diskmorph.conf');
    await writeFile(file, shipped.replaceAll(/(?<== |sqlite:)(?=\/(var|etc)\/)/g, root));
    const checked = await checkConfiguration({ configFiles: [file], environment: {} });
    expect(checked).toMatchObject({ problems: [], warnings: [] });
  } finally {
    await rm(root, { recursive: true });
  }
});
