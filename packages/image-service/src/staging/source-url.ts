import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StagingError } from './errors.ts';

/**
 * The absolute path that `text` means: itself when it is one, else that of a `file:` URL of this machine. Throws
 * `bad_source` for every other scheme, for relative paths and for null characters.
 */
export function localPath(text: string): string {
  const path = isAbsolute(text) ? text : pathOfUrl(text);
  if (path.includes('\0')) throw new StagingError('bad_source', 'The path of the source holds a null character');
  return path;
}

function pathOfUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw new StagingError('bad_source', 'The source is neither an absolute path nor a URL');
  if (url.protocol !== 'file:') {
    throw new StagingError('bad_source', `Sources of the kind ${url.protocol} cannot be brought in this way`);
  }
  if (url.hostname !== '' || url.search !== '' || url.hash !== '') {
    throw new StagingError(
      'bad_source',
      'A file: URL must be file:/// and a path, with # and ? written as %23 and %3F',
    );
  }
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw new StagingError('bad_source', 'The path in the file: URL cannot be read', error);
  }
}
