/** Splits `a=1,b=2` at commas; a doubled comma stands for one. */
export function splitOptions(text: string): string[] {
  const parts: string[] = [];
  let part = '';
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== ',') part += text[at];
    else if (text[at + 1] === ',') {
      part += ',';
      at++;
    } else {
      parts.push(part);
      part = '';
    }
  }
  if (part !== '' || parts.length === 0) parts.push(part);
  return parts.filter((entry) => entry !== '');
}

/** One entry of an option string: without a value, `name` alone means on, `noname` off. */
export interface OptionEntry {
  readonly name: string;
  readonly value: string | undefined;
}

/** The entries of an option string in order. */
export function parseOptionString(text: string): OptionEntry[] {
  return splitOptions(text).map((part) => {
    const equals = part.indexOf('=');
    if (equals < 0) return { name: part, value: undefined };
    return { name: part.slice(0, equals), value: part.slice(equals + 1) };
  });
}
