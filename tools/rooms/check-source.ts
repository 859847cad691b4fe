/** Holds one source file against the rules of its room. */
import { posix } from 'node:path';
import type { Room } from './room-rules.ts';
import { FILE_LAWS, FORMAT_NAMES, FORMATS_THAT_NAME_OTHERS, ROOMS } from './room-rules.ts';
import type { ImportedModule, SourcePiece } from './source-text.ts';
import { importsOf, lineOf, splitSource } from './source-text.ts';
import { findPhrase } from './word-match.ts';

/** A broken rule: where, and the rule in words. */
export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly law: string;
}

interface Subject {
  readonly path: string;
  readonly source: string;
  readonly pieces: readonly SourcePiece[];
}

const OUR_SCOPE = '@diskmorph/';

/** Every rule that `source` breaks as the file `path` (relative to the project, with `/`). Test code knows only the laws for all files. */
export function checkSource(path: string, source: string): Violation[] {
  const subject: Subject = { path, source, pieces: splitSource(source) };
  const everywhere = fileLawViolations(subject);
  if (!isProductSource(path)) return everywhere;
  const room = roomOf(path);
  if (room === undefined) return [...everywhere, { path, line: 1, law: 'every source file belongs to a room' }];
  return [
    ...everywhere,
    ...importViolations(subject, room),
    ...wordViolations(subject, room),
    ...identifierViolations(subject, room),
    ...stringViolations(subject, room),
  ].sort((a, b) => a.line - b.line);
}

function isProductSource(path: string): boolean {
  return /^packages\/[^/]+\/src\//.test(path) && !/\.test\.tsx?$/.test(path);
}

function roomOf(path: string): (Room & { readonly fullName: string }) | undefined {
  for (const room of ROOMS) {
    const pattern = new RegExp(
      `^${room.path.replaceAll('.', '\\.').replace('*', '([^/]+)')}${room.path.endsWith('/') ? '' : '$'}`,
    );
    const found = pattern.exec(path);
    if (found !== null) return { ...room, fullName: room.name.replace('*', found[1] ?? '*') };
  }
  return undefined;
}

function fileLawViolations({ path, source }: Subject): Violation[] {
  const lines = source.split('\n');
  return FILE_LAWS.flatMap(({ law, where, of, forbidden }) => {
    if (where === 'product' && !isProductSource(path)) return [];
    if (of === 'name') return forbidden.test(path) ? [{ path, line: 1, law }] : [];
    return lines.flatMap((line, index) => (forbidden.test(line) ? [{ path, line: index + 1, law }] : []));
  });
}

function importViolations(subject: Subject, room: Room & { readonly fullName: string }): Violation[] {
  return importsOf(subject.pieces).flatMap((imported) => {
    const law = brokenImportLaw(subject.path, room, imported);
    return law === undefined ? [] : [{ path: subject.path, line: lineOf(subject.source, imported.start), law }];
  });
}

function brokenImportLaw(
  path: string,
  room: Room & { readonly fullName: string },
  imported: ImportedModule,
): string | undefined {
  const { specifier } = imported;
  if (specifier.startsWith('node:') && room.mustNotUse !== undefined) return `${room.fullName} must not use node:`;
  const target = targetOf(path, specifier);
  if (target === undefined || target === room.fullName || mayImport(path, room, target, imported)) return undefined;
  if (target === 'outside') return `${room.fullName} must reach other packages by their name, not by a path`;
  return `${room.fullName} must not import ${target}`;
}

/** The room or package that an import leads to; undefined for packages that are not ours. */
function targetOf(path: string, specifier: string): string | undefined {
  if (specifier.startsWith(OUR_SCOPE)) return specifier.slice(OUR_SCOPE.length).split('/')[0];
  if (!specifier.startsWith('.')) return undefined;
  const target = posix.normalize(posix.join(posix.dirname(path), specifier));
  const packageFolder = path.split('/').slice(0, 3).join('/');
  if (!target.startsWith(`${packageFolder}/`)) return target.endsWith('package.json') ? undefined : 'outside';
  return roomOf(target)?.fullName ?? 'a file that belongs to no room';
}

function mayImport(path: string, room: Room, target: string, imported: ImportedModule): boolean {
  const name = target.startsWith('formats/') ? 'formats/*' : target;
  if (target === 'outside') return false;
  if (room.mayImport.includes('everything') || room.mayImport.includes(name)) return true;
  if (imported.typeOnly && room.mayImportTypesOf?.includes(name)) return true;
  return room.mayImportFrom?.some((rule) => rule.room === name && rule.files.test(path)) ?? false;
}

function wordViolations(subject: Subject, room: Room & { readonly fullName: string }): Violation[] {
  if (room.mayBeSaidIn?.some((end) => subject.path.endsWith(end))) return [];
  const words = [...room.mustNotSay, ...otherFormats(room.fullName)];
  return subject.pieces.flatMap((piece) =>
    words.flatMap((word) => {
      if (isFormatString(piece, word, room)) return [];
      return findPhrase(piece.text, word).map((at) => ({
        path: subject.path,
        line: lineOf(subject.source, piece.start + at),
        law: `${room.fullName} must not say "${word}"`,
      }));
    }),
  );
}

function otherFormats(roomName: string): readonly string[] {
  const own = /^formats\/(.+)$/.exec(roomName)?.[1];
  if (own === undefined) return [];
  const known = new Set([own, ...(FORMATS_THAT_NAME_OTHERS[own] ?? [])]);
  return FORMAT_NAMES.filter((name) => !known.has(name));
}

/** A format may hold another one's name as the value that its header stores for the backing image. */
function isFormatString(piece: SourcePiece, word: string, room: Room): boolean {
  return room.name === 'formats/*' && piece.kind === 'string' && piece.text === word;
}

function identifierViolations(subject: Subject, room: Room & { readonly fullName: string }): Violation[] {
  const names = room.mustNotUse ?? [];
  if (names.length === 0) return [];
  const pattern = new RegExp(`(?<![.\\w$])(?:${names.join('|')})(?![\\w$])`, 'g');
  return piecesOf(subject, 'code').flatMap((piece) =>
    [...piece.text.matchAll(pattern)].map((found) => ({
      path: subject.path,
      line: lineOf(subject.source, piece.start + found.index),
      law: `${room.fullName} must not use ${found[0]}`,
    })),
  );
}

function stringViolations(subject: Subject, room: Room & { readonly fullName: string }): Violation[] {
  const rules = room.stringsMustNotHold ?? [];
  return piecesOf(subject, 'string').flatMap((piece) =>
    rules
      .filter((rule) => rule.pattern.test(piece.text))
      .map((rule) => ({
        path: subject.path,
        line: lineOf(subject.source, piece.start),
        law: `${room.fullName} must not hold ${rule.what}`,
      })),
  );
}

function piecesOf(subject: Subject, kind: SourcePiece['kind']): SourcePiece[] {
  return subject.pieces.filter((piece) => piece.kind === kind);
}
