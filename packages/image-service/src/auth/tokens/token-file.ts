import { open, readFile, stat } from 'node:fs/promises';
import type { Document } from 'yaml';
import { parseDocument, stringify } from 'yaml';
import { z } from 'zod';
import { isTokenHash } from './token.ts';

/** The largest token file, in bytes. */
export const MAX_TOKEN_FILE_BYTES: number = 4 * 1024 * 1024;
/** The most tokens in a file. */
export const MAX_TOKENS = 20_000;

/** The token file cannot be used; the message says why and names no token. */
export class TokenFileError extends Error {
  readonly code = 'token_file';

  constructor(message: string) {
    super(message);
    this.name = 'TokenFileError';
  }
}

/** One token of the file: who has it, in which project, with which roles. */
export interface TokenEntry {
  readonly id: string;
  readonly hash: string;
  readonly user_id: string;
  readonly user_name?: string | undefined;
  readonly project_id: string | null;
  readonly project_name?: string | undefined;
  readonly domain_id?: string | undefined;
  readonly roles: readonly string[];
  /** A time with its offset, as in `2030-01-31T00:00:00Z`; absent: never. */
  readonly expires?: string | undefined;
  readonly comment?: string | undefined;
}

const NAME: z.ZodString = z.string().min(1).max(255);
const ENTRY: z.ZodType<TokenEntry> = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{12}$/, 'is not the id of a token'),
  hash: z.string().refine(isTokenHash, 'is not a hash that "diskmorph token" makes'),
  user_id: NAME,
  user_name: NAME.optional(),
  project_id: NAME.nullable(),
  project_name: NAME.optional(),
  domain_id: NAME.optional(),
  roles: z.array(NAME).max(64),
  expires: z.iso.datetime({ offset: true }).optional(),
  comment: z.string().max(1000).optional(),
});

/** The tokens by their id. Throws `TokenFileError` naming the entry and the field. */
export function parseTokenFile(text: string): ReadonlyMap<string, TokenEntry> {
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true });
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined)
    throw new TokenFileError(`the token file is not YAML: ${fault.message.split('\n')[0] ?? ''}`);
  const list = plainData(document) ?? [];
  if (!Array.isArray(list)) throw new TokenFileError('the token file is not a list of tokens');
  if (list.length > MAX_TOKENS) throw new TokenFileError(`the token file has more than ${MAX_TOKENS} tokens`);
  const entries = new Map<string, TokenEntry>();
  for (const [index, item] of list.entries()) {
    const parsed = ENTRY.safeParse(item);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      const field = issue?.path.join('.') ?? '';
      throw new TokenFileError(`token ${index + 1} of the file: ${field} ${issue?.message ?? 'is wrong'}`);
    }
    if (entries.has(parsed.data.id)) throw new TokenFileError(`token ${index + 1} of the file: its id is there twice`);
    entries.set(parsed.data.id, parsed.data);
  }
  return entries;
}

function plainData(document: Pick<Document, 'toJS'>): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 });
  } catch {
    throw new TokenFileError('the token file uses anchors of YAML, which are not read');
  }
}

/** Nobody but the owner may write the file, and nobody but owner and group read it. */
const FORBIDDEN_MODE = 0o027;

/** The tokens of the file at `path`. Throws `TokenFileError`, also for a file that others may read or write. */
export async function readTokenFile(path: string): Promise<ReadonlyMap<string, TokenEntry>> {
  try {
    const { mode, size, uid } = await stat(path);
    const own = process.getuid?.();
    if (own !== undefined && uid !== own && uid !== 0) {
      throw new TokenFileError('the token file must belong to the user of the service, or to root');
    }
    if ((mode & FORBIDDEN_MODE) !== 0) {
      throw new TokenFileError('others may read or change the token file: chmod it to 640 or 600');
    }
    if (size > MAX_TOKEN_FILE_BYTES) {
      throw new TokenFileError(`the token file is larger than ${MAX_TOKEN_FILE_BYTES} bytes`);
    }
    return parseTokenFile(await readFile(path, 'utf8'));
  } catch (error) {
    if (error instanceof TokenFileError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new TokenFileError(code === 'ENOENT' ? 'there is no such token file' : `cannot read the token file: ${code}`);
  }
}

/**
 * Adds a token at the end of the file, whose text and comments stay as they are; makes the file, for its owner alone,
 * when there is none. Throws `TokenFileError` when the file is not a plain list that can be added to.
 */
export async function addToTokenFile(path: string, entry: TokenEntry): Promise<void> {
  const file = await open(path, 'a+', 0o600);
  try {
    const text = await file.readFile('utf8');
    const known = parseTokenFile(text).size;
    const added = `${text === '' || text.endsWith('\n') ? '' : '\n'}${stringify([entry], { lineWidth: 0 })}`;
    const count = countTokens(text + added);
    if (count !== known + 1) throw new TokenFileError('the token file is no plain list: add this token to it by hand');
    await file.appendFile(added);
    await file.sync();
  } finally {
    await file.close();
  }
}

function countTokens(text: string): number {
  try {
    return parseTokenFile(text).size;
  } catch (error) {
    if (error instanceof TokenFileError) return -1;
    throw error;
  }
}
