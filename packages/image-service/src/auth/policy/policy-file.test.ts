import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PolicyError } from './errors.ts';
import { MAX_POLICY_FILE_BYTES, parsePolicyFile, readPolicyFile } from './policy-file.ts';

describe('a policy file', () => {
  test.each<[text: string, rules: Readonly<Record<string, string>>]>([
    ['', {}],
    ['# nothing but a comment\n', {}],
    [
      '"get_image": "role:reader"\n# why\nadd_image: role:member and project_id:%(project_id)s\n',
      {
        get_image: 'role:reader',
        add_image: 'role:member and project_id:%(project_id)s',
      },
    ],
    ['a: ""\nb: "!"\nc: "@"', { a: '', b: '!', c: '@' }],
    [`a: "'public':%(visibility)s"`, { a: "'public':%(visibility)s" }],
    ['a: >\n  role:x\n  or role:y\n', { a: 'role:x or role:y\n' }],
    ['{"a": "role:x", "b": []}', { a: 'role:x', b: '' }],
    [
      '{"a": [["role:x", "role:y"], ["role:z"]], "b": [[]], "c": ["role:x"]}',
      {
        a: '((role:x) and (role:y)) or ((role:z))',
        b: '!',
        c: '((role:x))',
      },
    ],
  ])('%j', (text, rules) => {
    expect(Object.fromEntries(parsePolicyFile(text))).toEqual(rules);
  });

  test.each<[text: string, message: string]>([
    ['get_image:', 'rule "get_image": is not a text'],
    ['get_image: !', 'rule "get_image": is not a text'],
    ['get_image: @', 'line 1, column 12'],
    ['get_image: true', 'rule "get_image": is not a text'],
    ['get_image: {role: admin}', 'rule "get_image": is not a text'],
    ['get_image: [1]', 'rule "get_image": is a list with something'],
    ["get_image: 'public':%(visibility)s", 'line 1'],
    ['a: "x"\na: "y"', 'line 2'],
    ['- a\n- b', 'not a mapping'],
    ['a: "x', 'line 1'],
    ['1: "x"', 'the name of a rule is not a text'],
    ['a: !!js/function "x"', 'line 1'],
  ])('%j is refused', (text, message) => {
    expect(() => parsePolicyFile(text)).toThrow(PolicyError);
    expect(() => parsePolicyFile(text)).toThrow(message);
  });

  test('is not read when it is too large or not there', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'policy-'));
    try {
      const path = join(directory, 'policy.yaml');
      await expect(readPolicyFile(path)).rejects.toThrow('there is no such file');
      await writeFile(path, '#'.repeat(MAX_POLICY_FILE_BYTES + 1));
      await expect(readPolicyFile(path)).rejects.toThrow('larger than');
      await writeFile(path, 'get_image: "@"');
      expect(await readPolicyFile(path)).toEqual(new Map([['get_image', '@']]));
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
