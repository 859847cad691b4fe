import { styleText } from 'node:util';

/** Emphasis for one output stream; plain text where it shows no colours. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

/** The style of a stream: colours on a terminal only, and never when NO_COLOR is set or the terminal is `dumb`. */
export function streamStyle(
  stream: { readonly isTTY?: boolean },
  environment: Readonly<Record<string, string | undefined>>,
): Style {
  const refused = (environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb';
  return stream.isTTY === true && !refused ? colours : plain;
}

const paint =
  (format: 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan') =>
  (text: string): string =>
    styleText(format, text, { validateStream: false });

const colours: Style = {
  bold: paint('bold'),
  dim: paint('dim'),
  red: paint('red'),
  green: paint('green'),
  yellow: paint('yellow'),
  cyan: paint('cyan'),
};

const same = (text: string): string => text;

/** No emphasis at all. */
export const plain: Style = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };
