/** Takes TypeScript text apart into code, strings and comments, without a parser. */

/** A stretch of source text of one kind. Regular expressions count as strings. */
export interface SourcePiece {
  readonly kind: 'code' | 'string' | 'comment';
  readonly start: number;
  readonly text: string;
}

/** What one import or re-export names. */
export interface ImportedModule {
  readonly specifier: string;
  readonly typeOnly: boolean;
  readonly start: number;
}

/** The pieces of `source` in order; together they are all of it but the quotes. */
export function splitSource(source: string): SourcePiece[] {
  const pieces: SourcePiece[] = [];
  splitCode(source, { position: 0, pieces, closes: '' });
  return pieces;
}

interface Scan {
  position: number;
  readonly pieces: SourcePiece[];
  /** The scan ends at this unmatched bracket: `}` inside a template's `${`, nothing at the top. */
  readonly closes: string;
}

const COMMENT = /\/\/[^\n]*|\/\*[^]*?\*\//y;
const QUOTED = /'(?:\\[^]|[^'\\\n])*'|"(?:\\[^]|[^"\\\n])*"/y;
const REGULAR_EXPRESSION = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/y;

/** A slash after one of these begins a regular expression; after anything else it divides. */
const BEFORE_EXPRESSION = /(?:^|[=([{},;:!&|?+\-*%~^<>]|\b(?:return|typeof|case|in|of|await|yield|default))\s*$/;

function splitCode(source: string, scan: Scan): void {
  let codeStart = scan.position;
  let depth = 0;
  const flush = (): void => {
    if (scan.position > codeStart) add(scan, 'code', codeStart, source.slice(codeStart, scan.position));
  };
  while (scan.position < source.length) {
    const special = match(COMMENT, source, scan) ?? match(QUOTED, source, scan) ?? regularExpression(source, scan);
    const character = source[scan.position] ?? '';
    if (special === undefined && character !== '`') {
      if (character === scan.closes && depth === 0) break;
      if (character === '{') depth += 1;
      if (character === '}') depth -= 1;
      scan.position += 1;
      continue;
    }
    flush();
    if (special === undefined) splitTemplate(source, scan);
    else addSpecial(scan, special);
    codeStart = scan.position;
  }
  flush();
}

function addSpecial(scan: Scan, special: string): void {
  if (/^\/[/*]/.test(special)) add(scan, 'comment', scan.position, special);
  else add(scan, 'string', scan.position + 1, special.slice(1, -1));
  scan.position += special.length;
}

/** From the opening backtick to behind the closing one. */
function splitTemplate(source: string, scan: Scan): void {
  scan.position += 1;
  let textStart = scan.position;
  const flush = (): void => add(scan, 'string', textStart, source.slice(textStart, scan.position));
  while (scan.position < source.length && source[scan.position] !== '`') {
    if (source[scan.position] === '\\') scan.position += 2;
    else if (source.startsWith('${', scan.position)) {
      flush();
      const inner: Scan = { position: scan.position + 2, pieces: scan.pieces, closes: '}' };
      splitCode(source, inner);
      scan.position = inner.position + 1;
      textStart = scan.position;
    } else scan.position += 1;
  }
  flush();
  scan.position += 1;
}

function match(pattern: RegExp, source: string, scan: Scan): string | undefined {
  pattern.lastIndex = scan.position;
  return pattern.exec(source)?.[0];
}

function regularExpression(source: string, scan: Scan): string | undefined {
  if (source[scan.position] !== '/') return undefined;
  const before = source.slice(Math.max(0, scan.position - 80), scan.position);
  return BEFORE_EXPRESSION.test(before) ? match(REGULAR_EXPRESSION, source, scan) : undefined;
}

function add(scan: Scan, kind: SourcePiece['kind'], start: number, text: string): void {
  if (text !== '') scan.pieces.push({ kind, start, text });
}

/** Every static and dynamic import and re-export with a literal name. */
export function importsOf(pieces: readonly SourcePiece[]): ImportedModule[] {
  return pieces.flatMap((piece, index) => {
    const before = statementBefore(pieces, index);
    if (piece.kind !== 'string' || !/(?:\bfrom|\bimport|\bimport\s*\()\s*['"]$/.test(before)) return [];
    const typeOnly = /\b(?:import|export)\s+type\b[^;]*$/.test(before);
    return [{ specifier: piece.text, typeOnly, start: piece.start }];
  });
}

/** The code since the last `;` before a string, its quote included. */
function statementBefore(pieces: readonly SourcePiece[], index: number): string {
  const code = pieces.slice(Math.max(0, index - 8), index).filter((piece) => piece.kind === 'code');
  const joined = code.map((piece) => piece.text).join(' ');
  return `${joined.slice(joined.lastIndexOf(';') + 1).trimEnd()}'`;
}

/** The line number of a position, from 1. */
export function lineOf(source: string, position: number): number {
  return source.slice(0, position).split('\n').length;
}
