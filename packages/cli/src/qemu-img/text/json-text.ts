/** A JSON value whose members keep their order. */
export type Json =
  | string
  | number
  | bigint
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

const INDENT = '    ';

/** JSON laid out as qemu-img lays it out: four spaces, an empty list over two lines, ASCII only. */
export function jsonText(value: Json): string {
  return layOut(value, '');
}

function layOut(value: Json, indent: string): string {
  if (typeof value === 'string') return quoted(value);
  if (value === null || typeof value !== 'object') return String(value);
  const inner = indent + INDENT;
  if (isList(value)) {
    return `[\n${value.map((item) => inner + layOut(item, inner)).join(',\n')}${value.length > 0 ? '\n' : ''}${indent}]`;
  }
  const members = Object.entries(value).flatMap(([key, member]) =>
    member === undefined ? [] : [`${inner}${quoted(key)}: ${layOut(member, inner)}`],
  );
  return `{\n${members.join(',\n')}${members.length > 0 ? '\n' : ''}${indent}}`;
}

function isList(value: object): value is readonly Json[] {
  return Array.isArray(value);
}

/** JSON on one line, as in a `json:` file name. */
export function jsonLine(value: Json): string {
  if (typeof value === 'string') return quoted(value);
  if (value === null || typeof value !== 'object') return String(value);
  if (isList(value)) return `[${value.map(jsonLine).join(', ')}]`;
  const members = Object.entries(value).flatMap(([key, member]) =>
    member === undefined ? [] : [`${quoted(key)}: ${jsonLine(member)}`],
  );
  return `{${members.join(', ')}}`;
}

function quoted(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`,
  );
}
