import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StaticTokenAuthenticator } from './static-tokens.ts';
import { staticTokens } from './static-tokens.ts';
import { newToken, tokenId, tokenMatches } from './token.ts';
import type { TokenEntry } from './token-file.ts';
import { addToTokenFile, parseTokenFile, readTokenFile } from './token-file.ts';

const NOW = Date.parse('2030-01-01T00:00:00Z');
let directory: string;
let path: string;
let logged: string[];
const opened: StaticTokenAuthenticator[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tokens-'));
  path = join(directory, 'tokens.yaml');
  logged = [];
});
afterEach(async () => {
  for (const authenticator of opened.splice(0)) await authenticator.close();
  await rm(directory, { recursive: true });
});

function made(more: Partial<TokenEntry> = {}): { readonly token: string; readonly entry: TokenEntry } {
  const { token, id, hash } = newToken(randomBytes);
  return { token, entry: { id, hash, user_id: 'ci', project_id: 'p1', roles: ['Member', 'reader'], ...more } };
}

async function open(): Promise<StaticTokenAuthenticator> {
  const authenticator = await staticTokens({
    path,
    checkEveryMs: 1_000_000,
    challenge: 'Token realm="test"',
    log: (message) => logged.push(message),
    now: () => NOW,
  });
  opened.push(authenticator);
  return authenticator;
}

const withToken = (token: string): Map<string, string> => new Map([['x-auth-token', token]]);

describe('a static token', () => {
  test('tells who has it', async () => {
    const { token, entry } = made();
    await addToTokenFile(path, entry);
    const caller = await (await open()).authenticate(withToken(token));
    expect(caller).toMatchObject({
      userId: 'ci',
      projectId: 'p1',
      roles: ['member', 'reader'],
      isAdmin: false,
      userDomainId: 'default',
      expiresAt: null,
    });
  });

  test.each([
    [['admin'], ['admin', 'member', 'reader']],
    [['Member'], ['member', 'reader']],
    [
      ['reader', 'constructor'],
      ['reader', 'constructor'],
    ],
    [
      ['service', 'reader'],
      ['service', 'reader'],
    ],
    [[], []],
  ])('with the roles %j has %j', async (roles, all) => {
    const { token, entry } = made({ roles });
    await addToTokenFile(path, entry);
    expect((await (await open()).authenticate(withToken(token))).roles).toEqual(all);
  });

  test.each([
    ['no token', (): string => '', 'A token is needed in X-Auth-Token'],
    ['another text', (): string => 'secret', 'The token is not known'],
    ['the token of nobody', (): string => made().token, 'The token is not known'],
    [
      'the right id with another secret',
      (token: string): string => `${token.slice(0, 17)}${'A'.repeat(43)}`,
      'not known',
    ],
    ['a letter more', (token: string): string => `${token}A`, 'not known'],
  ])('%s is not let in', async (_, change, message) => {
    const { token, entry } = made();
    await addToTokenFile(path, entry);
    const refused = (await open()).authenticate(withToken(change(token)));
    await expect(refused).rejects.toMatchObject({
      code: 'unauthenticated',
      challenge: 'Token realm="test"',
      message: expect.stringContaining(message),
    });
  });

  test.each([
    ['2029-12-31T23:59:59Z', false],
    ['2030-01-01T00:00:00Z', false],
    ['2030-01-01T00:00:01Z', true],
    ['2030-01-01T01:00:00+02:00', false],
  ])('that expires at %s: still good %s', async (expires, good) => {
    const { token, entry } = made({ expires });
    await addToTokenFile(path, entry);
    const asked = (await open()).authenticate(withToken(token)).then(
      () => true,
      (error: unknown) => String(error).includes('expired') && false,
    );
    expect(await asked).toBe(good);
  });

  test('added to the file is known without a restart, and one that was taken out is known no more', async () => {
    const first = made();
    const second = made({ user_id: 'second' });
    await addToTokenFile(path, first.entry);
    const authenticator = await open();
    await addToTokenFile(path, second.entry);
    await authenticator.refresh();
    expect((await authenticator.authenticate(withToken(second.token))).userId).toBe('second');
    await replaceFile(stringify([second.entry]));
    await authenticator.refresh();
    await expect(authenticator.authenticate(withToken(first.token))).rejects.toThrow('not known');
    expect((await authenticator.authenticate(withToken(second.token))).userId).toBe('second');
  });

  test('stays good while a change of the file cannot be used, which is logged', async () => {
    const { token, entry } = made();
    await addToTokenFile(path, entry);
    const authenticator = await open();
    await replaceFile('- nonsense');
    await authenticator.refresh();
    expect((await authenticator.authenticate(withToken(token))).userId).toBe('ci');
    expect(logged).toEqual([expect.stringContaining('what it said before holds on: token 1 of the file')]);
  });

  test('is not in the file', async () => {
    const { token, entry } = made();
    await addToTokenFile(path, entry);
    const text = await readFile(path, 'utf8');
    expect(text).not.toContain(token.slice(17));
    expect(tokenId(token)).toBe(entry.id);
    expect(tokenMatches(token, entry.hash)).toBe(true);
    expect(tokenMatches(token, 'sha256$$')).toBe(false);
  });
});

async function replaceFile(text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

describe('the token file', () => {
  test.each([0o644, 0o660, 0o602, 0o604])('of mode %o is refused', async (mode) => {
    await addToTokenFile(path, made().entry);
    await chmod(path, mode);
    await expect(readTokenFile(path)).rejects.toThrow('chmod it to 640 or 600');
  });

  test.each([0o600, 0o640, 0o400])('of mode %o is read', async (mode) => {
    await addToTokenFile(path, made().entry);
    await chmod(path, mode);
    expect((await readTokenFile(path)).size).toBe(1);
  });

  test('that is not there is said so', async () => {
    await expect(open()).rejects.toThrow('there is no such token file');
  });

  test.each<[text: string, message: string]>([
    ['tokens: []', 'is not a list of tokens'],
    ['- "', 'is not YAML'],
    ['- {}', 'token 1 of the file: id'],
    ['- &a {id: x}\n- *a', 'uses anchors'],
  ])('%j is refused', (text, message) => {
    expect(() => parseTokenFile(text)).toThrow(message);
  });

  test.each<[change: Readonly<Record<string, unknown>>, message: string]>([
    [{ hash: 'md5$1' }, 'hash is not a hash'],
    [{ id: 'ABC' }, 'id is not the id of a token'],
    [{ roles: 'member' }, 'roles'],
    [{ expires: 'tomorrow' }, 'expires'],
    [{ role: ['member'] }, 'role'],
    [{ user_id: '' }, 'user_id'],
  ])('an entry with %j is refused', (change, message) => {
    expect(() => parseTokenFile(stringify([{ ...made().entry, ...change }]))).toThrow(message);
  });

  test.each(['000000000000', '123456789012', '1234567890e1'])(
    'keeps an id that looks like a number: %s',
    async (id) => {
      await addToTokenFile(path, made({ id }).entry);
      expect([...(await readTokenFile(path)).keys()]).toEqual([id]);
    },
  );

  test('with an id twice is refused', () => {
    const { entry } = made();
    expect(() => parseTokenFile(stringify([entry, { ...entry, roles: [] }]))).toThrow('its id is there twice');
  });

  test('keeps its comments when a token is added, also without a line feed at its end', async () => {
    await writeFile(path, `# ours\n${stringify([made().entry])}# the end`, { mode: 0o600 });
    await addToTokenFile(path, made().entry);
    expect(await readFile(path, 'utf8')).toMatch(/^# ours\n[^]*# the end\n- id:/);
    expect((await readTokenFile(path)).size).toBe(2);
  });

  test('is not added to when it is written as a flow list', async () => {
    await writeFile(path, '[]\n', { mode: 0o600 });
    await expect(addToTokenFile(path, made().entry)).rejects.toThrow('by hand');
    expect(await readFile(path, 'utf8')).toBe('[]\n');
  });
});
