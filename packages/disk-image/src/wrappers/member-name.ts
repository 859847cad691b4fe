import { ImageError } from '../errors.ts';

const MAX_NAME_LENGTH = 4096;
const MAX_SHOWN_NAME = 200;
/** What programs leave in archives beside what was packed. */
const CLUTTER = /^(?:__MACOSX\/.*|(?:.*\/)?\.DS_Store)$/;

/** A file in an archive and where its stored bytes lie. */
export interface Member {
  /** Relative, with `/`, without `.` and `..`. */
  readonly name: string;
  /** Bytes of the file. */
  readonly size: number;
}

/**
 * The name of a member without a leading `./`. Throws `unsafe` for a name that would leave the folder it is unpacked to
 * (absolute, `..`, a drive, a backslash) or is none.
 */
export function safeName(name: string): string {
  const parts = name.replace(/^(?:\.\/+)+/, '').split('/');
  const isPlain =
    name.length <= MAX_NAME_LENGTH &&
    !name.startsWith('/') &&
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    !/[\\\u0000-\u001f\u007f]|^[A-Za-z]:/.test(name) &&
    parts.every((part) => part !== '..' && part !== '.' && part !== '');
  if (isPlain) return parts.join('/');
  throw new ImageError('unsafe', `The archive has a member with the unsafe name ${shownName(name)}`);
}

/** A name from an archive, fit to be shown. */
export function shownName(name: string): string {
  return JSON.stringify(name.length > MAX_SHOWN_NAME ? `${name.slice(0, MAX_SHOWN_NAME)}...` : name);
}

/** Throws `corrupt` when two members have one name: programs differ in which of them they take. */
export function checkUnique(members: readonly Member[]): void {
  const names = new Set<string>();
  for (const { name } of members) {
    if (names.has(name))
      throw new ImageError('corrupt', `The archive has two members with the name ${shownName(name)}`);
    names.add(name);
  }
}

/**
 * The member called `wanted`, or the only one there is when nobody says. Throws `out_of_bounds` for a name that is not
 * there, `unsupported` for an archive of several files, naming them, or of none.
 */
export function chosenMember<T extends Member>(members: readonly T[], wanted: string | undefined): T {
  if (wanted !== undefined) {
    const found = members.find(({ name }) => name === wanted);
    if (found !== undefined) return found;
    throw new ImageError('out_of_bounds', `The archive has no member ${shownName(wanted)}; ${namesOf(members)}`);
  }
  const files = members.filter(({ name }) => !CLUTTER.test(name));
  const [only] = files;
  if (only !== undefined && files.length === 1) return only;
  throw new ImageError(
    'unsupported',
    `The archive does not hold just one file, so one must be named; ${namesOf(files)}`,
  );
}

const MAX_LISTED = 20;

/** The names for a message, at most 20 of them. */
export function namesOf(members: readonly Member[]): string {
  if (members.length === 0) return 'it holds no file';
  const listed = members.slice(0, MAX_LISTED).map(({ name }) => shownName(name));
  const rest = members.length > MAX_LISTED ? ` and ${members.length - MAX_LISTED} more` : '';
  return `it holds ${listed.join(', ')}${rest}`;
}
