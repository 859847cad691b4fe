/** The words of `text` in lines of at most `width` columns; longer words get a line of their own. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** One cell of a table: text, or text set to the right. */
export type Cell = string | { readonly right: string };

/** Rows with their columns in line, two spaces between them, without spaces at the ends of lines. */
export function tableLines(rows: readonly (readonly Cell[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) {
      widths[index] = Math.max(widths[index] ?? 0, visibleLength(textOf(cell)));
    }
  }
  return rows.map((row) =>
    row
      .map((cell, index) => padded(cell, widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function padded(cell: Cell, width: number): string {
  const text = textOf(cell);
  const space = ' '.repeat(width - visibleLength(text));
  return typeof cell === 'string' ? text + space : space + text;
}

function textOf(cell: Cell): string {
  return typeof cell === 'string' ? cell : cell.right;
}

// oxlint-disable-next-line no-control-regex -- colours begin with the escape character
const COLOUR_SEQUENCE = /\u001b\[[0-9;]*m/g;

/** Columns that `text` takes on a terminal, colours not counted. */
export function visibleLength(text: string): number {
  return text.replace(COLOUR_SEQUENCE, '').length;
}

// oxlint-disable-next-line no-control-regex -- these are what must not reach a terminal
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f-\u009f]/g;

/** Text that came from a file or a name, fit for a terminal: control characters are shown, not obeyed. */
export function plainText(text: string): string {
  return text.replace(CONTROL_CHARACTERS, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
