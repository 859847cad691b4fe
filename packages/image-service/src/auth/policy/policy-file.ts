import { readFile, stat } from 'node:fs/promises';
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { PolicyProblem } from './errors.ts';
import { PolicyError } from './errors.ts';

/** The largest policy file, in bytes. */
export const MAX_POLICY_FILE_BYTES: number = 1024 * 1024;

/**
 * The rules of a policy file, in its order: a YAML (or JSON) mapping from names to texts; a list of lists means what it
 * means in old files, any of the outer, all of the inner. Throws `PolicyError`.
 */
export function parsePolicyFile(text: string): ReadonlyMap<string, string> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) {
    throw new PolicyError(
      faults.map(({ message, pos }) => {
        const { line, col } = lines.linePos(pos[0]);
        return { message: `line ${line}, column ${col}: ${message}` };
      }),
    );
  }
  const { contents } = document;
  if (contents === null) return new Map();
  if (!isMap(contents)) throw new PolicyError([{ message: 'the file is not a mapping from names of rules to rules' }]);
  const problems: PolicyProblem[] = [];
  const rules = new Map<string, string>();
  for (const { key, value } of contents.items) {
    const name = isScalar(key) && typeof key.value === 'string' ? key.value.trim() : '';
    const rule = ruleText(value);
    if (name === '') problems.push({ message: 'the name of a rule is not a text' });
    else if ('problem' in rule) problems.push({ rule: name, message: rule.problem });
    else rules.set(name, rule.text);
  }
  if (problems.length > 0) throw new PolicyError(problems);
  return rules;
}

type RuleText = { readonly text: string } | { readonly problem: string };

/**
 * An unquoted `!` is a tag in YAML and leaves nothing behind, which would let everybody where nobody was meant: a rule
 * must be written, and an empty one in quotes.
 */
function ruleText(value: unknown): RuleText {
  if (isScalar(value) && typeof value.value === 'string' && value.tag === undefined) return { text: value.value };
  if (isSeq(value)) return listText(value.items.map(plainItem));
  return { problem: 'is not a text; in quotes: "" lets everybody, "!" nobody' };
}

function plainItem(node: unknown): unknown {
  if (isSeq(node)) return node.items.map((inner) => (isScalar(inner) ? inner.value : undefined));
  return isScalar(node) ? node.value : undefined;
}

function listText(list: readonly unknown[]): RuleText {
  const problem = 'is a list with something in it that is neither a text nor a list of texts';
  const parts: string[] = [];
  for (const item of list) {
    const inner: unknown[] = Array.isArray(item) ? item : [item];
    if (!inner.every((check): check is string => typeof check === 'string' && check.trim() !== '')) return { problem };
    if (inner.length > 0) parts.push(`(${inner.map((check) => `(${check})`).join(' and ')})`);
  }
  // An empty list lets everybody; empty lists in a list are passed over.
  return { text: parts.length === 0 && list.length > 0 ? '!' : parts.join(' or ') };
}

/** The rules of the file at `path`. Throws `PolicyError`, also when the file cannot be read. */
export async function readPolicyFile(path: string): Promise<ReadonlyMap<string, string>> {
  try {
    const { size } = await stat(path);
    if (size > MAX_POLICY_FILE_BYTES) {
      throw new PolicyError([{ message: `the file is larger than ${MAX_POLICY_FILE_BYTES} bytes` }]);
    }
    return parsePolicyFile(await readFile(path, 'utf8'));
  } catch (error) {
    if (error instanceof PolicyError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new PolicyError([{ message: code === 'ENOENT' ? 'there is no such file' : `cannot be read: ${code}` }]);
  }
}
