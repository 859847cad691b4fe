import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import type { ByteSource, ImageReference, ReferencePolicy } from '@diskmorph/disk-image';
import { denyReferences, describeReference, ImageError } from '@diskmorph/disk-image';

/** Which files an image may refer to; plain data, so that threads can be given it. Nothing listed: none. */
export interface ReferenceRules {
  /** Directories below which a referenced file may lie, after symbolic links are resolved. */
  readonly directories: readonly string[];
  /** Allows every regular file and block device of this machine, wherever it lies. Nothing else, and no network. */
  readonly anyLocalFile?: boolean;
}

/** No file may be opened on an image's word. */
export const noReferences: ReferenceRules = { directories: [] };

/** Opens a file as a source; synchronous or not, as the thread needs. */
export type SourceOpener = (filePath: string) => Promise<ByteSource>;

/**
 * The policy for references of the image at `imagePath`: relative names start at its directory, and the file that is
 * meant must lie below one of the allowed directories once every symbolic link is resolved.
 */
export function referencePolicy(rules: ReferenceRules, imagePath: string, open: SourceOpener): ReferencePolicy {
  if (rules.anyLocalFile !== true && rules.directories.length === 0) return denyReferences;
  return async (reference) => {
    const wanted = await locate(localName(reference, rules), path.dirname(imagePath));
    if (await isAllowed(wanted, rules)) {
      return {
        source: await open(wanted),
        references: referencePolicy(rules, wanted, open),
        identity: await identity(wanted),
      };
    }
    throw new ImageError(
      'unsafe',
      `The image refers to another file (${describeReference(reference)}) outside the directories where references are allowed`,
      { structure: reference.kind },
    );
  };
}

async function isAllowed(wanted: string, rules: ReferenceRules): Promise<boolean> {
  if (rules.anyLocalFile === true) return true;
  for (const directory of rules.directories) if (isBelow(wanted, await realpath(directory))) return true;
  return false;
}

/** Where any local file will do, `file:NAME` and a `json:` name that says no more than the file's name mean that file. */
function localName(reference: ImageReference, rules: ReferenceRules): ImageReference {
  const { name } = reference;
  if (rules.anyLocalFile !== true) return reference;
  if (name.startsWith('file:')) return { ...reference, name: name.slice('file:'.length) };
  const inside = name.startsWith('json:') ? plainFileOf(name.slice('json:'.length)) : undefined;
  return inside === undefined ? reference : { ...reference, name: inside };
}

const PLAIN_KEYS: ReadonlySet<string> = new Set(['driver', 'file', 'file.driver', 'file.filename', 'filename']);

function plainFileOf(json: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const entries = Object.entries(value).flatMap(([key, member]: [string, unknown]): [string, unknown][] =>
    key === 'file' && typeof member === 'object' && member !== null
      ? Object.entries(member).map(([inner, found]): [string, unknown] => [`file.${inner}`, found])
      : [[key, member]],
  );
  const found = new Map(entries);
  const fileDriver = found.get('file.driver') ?? 'file';
  if (
    (fileDriver !== 'file' && fileDriver !== 'host_device') ||
    [...found.keys()].some((key) => !PLAIN_KEYS.has(key))
  ) {
    return undefined;
  }
  const fileName = found.get('file.filename') ?? (found.get('driver') === 'file' ? found.get('filename') : undefined);
  return typeof fileName === 'string' ? fileName : undefined;
}

async function locate(reference: ImageReference, directory: string): Promise<string> {
  const { name } = reference;
  if (name.includes('\0') || /^[a-z][a-z0-9+.-]*:/i.test(name)) {
    throw new ImageError(
      'unsafe',
      `The image refers to something that is not a plain file (${describeReference(reference)})`,
      {
        structure: reference.kind,
      },
    );
  }
  try {
    return await realpath(path.resolve(directory, name));
  } catch (error) {
    throw new ImageError('io', `The file that the image refers to is not there (${describeReference(reference)})`, {
      structure: reference.kind,
      cause: error,
    });
  }
}

function isBelow(file: string, directory: string): boolean {
  const relative = path.relative(directory, file);
  return relative !== '' && !relative.startsWith('..') && !path.isAbsolute(relative);
}

async function identity(file: string): Promise<string> {
  const { dev, ino } = await stat(file, { bigint: true });
  return `${dev}:${ino}`;
}
