import { ImageError } from '../errors.ts';

/** An element with what stands in it. */
export interface XmlElement {
  /** Without its namespace prefix. */
  readonly name: string;
  /** By name without prefix; the first counts where two prefixes give one name. */
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  /** The text directly inside the element, its pieces joined. */
  readonly text: string;
}

/** What a document may have at most. */
export interface XmlLimits {
  readonly maxElements: number;
  readonly maxDepth: number;
}

const NAME = /[\p{L}_:][\p{L}\p{N}_:.-]*/uy;
const SPACE = /[ \t\r\n]+/y;
const TEXT = /[^<&]+/y;
const ENTITY = /&(?:#(\d{1,7})|#x([\da-fA-F]{1,6})|(lt|gt|amp|quot|apos));/y;
const VALUE = /"([^"<]*)"|'([^'<]*)'/y;
/** The type of a property list is declared this way; an internal subset, which could declare entities, is not. */
const DOCTYPE = /<!DOCTYPE\s[^[\]<>]*>/y;
const DECLARATION = /<\?xml\s[^<>]*\?>/y;
const NAMED: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

interface Scanner {
  readonly text: string;
  at: number;
}

interface OpenElement {
  readonly rawName: string;
  readonly element: {
    name: string;
    attributes: ReadonlyMap<string, string>;
    children: XmlElement[];
    text: string;
  };
}

/**
 * The root element of a document in UTF-8. No entity but the five of XML and characters by number is known, nothing
 * outside the document is ever looked at. Throws `corrupt` for what is not well-formed, `unsafe` above a limit and for a
 * document that declares entities. Extensible Markup Language 1.0.
 */
export function parseXml(bytes: Uint8Array, limits: XmlLimits): XmlElement {
  const scanner: Scanner = { text: decoded(bytes), at: 0 };
  skip(scanner, DECLARATION);
  skipBetween(scanner);
  if (skip(scanner, DOCTYPE) === undefined && scanner.text.startsWith('<!DOCTYPE', scanner.at)) {
    throw new ImageError('unsafe', 'An XML document declares entities of its own', { offset: scanner.at });
  }
  skipBetween(scanner);
  const root = readElements(scanner, limits);
  skipBetween(scanner);
  if (scanner.at < scanner.text.length) throw malformed(scanner, 'something follows its root element');
  return root;
}

/** The first child of that name. */
export function childOf(element: XmlElement | undefined, name: string): XmlElement | undefined {
  return element?.children.find((child) => child.name === name);
}

/** All children of that name. */
export function childrenOf(element: XmlElement | undefined, name: string): readonly XmlElement[] {
  return element?.children.filter((child) => child.name === name) ?? [];
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new ImageError('corrupt', 'An XML document is not text in UTF-8', { cause: error });
  }
}

/** Without recursion: depth is a number to check, not a stack to exhaust. */
function readElements(scanner: Scanner, limits: XmlLimits): XmlElement {
  const first = readStartTag(scanner);
  const open = [first.opened];
  if (first.isEmpty) return first.opened.element;
  let count = 1;
  for (let top = first.opened; ; top = open.at(-1) ?? first.opened) {
    top.element.text += readText(scanner);
    if (scanner.text.startsWith('</', scanner.at)) {
      readEndTag(scanner, top.rawName);
      open.pop();
      if (open.length === 0) return top.element;
      continue;
    }
    if (skipInside(scanner, top)) continue;
    const { opened, isEmpty } = readStartTag(scanner);
    if (++count > limits.maxElements || open.length >= limits.maxDepth) {
      throw new ImageError('unsafe', `An XML document has more than ${limits.maxElements} elements, or too deep ones`);
    }
    top.element.children.push(opened.element);
    if (!isEmpty) open.push(opened);
  }
}

function readStartTag(scanner: Scanner): { readonly opened: OpenElement; readonly isEmpty: boolean } {
  if (scanner.text[scanner.at] !== '<') throw malformed(scanner, 'an element is missing or not closed');
  scanner.at++;
  const rawName = readName(scanner);
  const raw = new Set<string>();
  const attributes = new Map<string, string>();
  for (;;) {
    const spaced = skip(scanner, SPACE) !== undefined;
    const isEmpty = scanner.text.startsWith('/>', scanner.at);
    if (isEmpty || scanner.text[scanner.at] === '>') {
      scanner.at += isEmpty ? 2 : 1;
      const element = { name: localName(rawName), attributes, children: [], text: '' };
      return { opened: { rawName, element }, isEmpty };
    }
    if (!spaced) throw malformed(scanner, 'a tag is not closed');
    const { name, value } = readAttribute(scanner);
    if (raw.has(name)) throw malformed(scanner, `the attribute ${name} is there twice`);
    raw.add(name);
    if (!attributes.has(localName(name))) attributes.set(localName(name), value);
  }
}

function readAttribute(scanner: Scanner): { readonly name: string; readonly value: string } {
  const name = readName(scanner);
  skip(scanner, SPACE);
  if (scanner.text[scanner.at] !== '=') throw malformed(scanner, 'an attribute has no value');
  scanner.at++;
  skip(scanner, SPACE);
  const quoted = skip(scanner, VALUE);
  if (quoted === undefined) throw malformed(scanner, 'an attribute has no value');
  return { name, value: readText({ text: quoted[1] ?? quoted[2] ?? '', at: 0 }) };
}

function readEndTag(scanner: Scanner, rawName: string): void {
  scanner.at += 2;
  if (readName(scanner) !== rawName) throw malformed(scanner, `${rawName} is closed by another name`);
  skip(scanner, SPACE);
  if (scanner.text[scanner.at] !== '>') throw malformed(scanner, 'a tag is not closed');
  scanner.at++;
}

function readName(scanner: Scanner): string {
  const name = skip(scanner, NAME)?.[0];
  if (name === undefined) throw malformed(scanner, 'a name is missing');
  return name;
}

/** Text and references up to the next tag, or to the end. */
function readText(scanner: Scanner): string {
  let text = '';
  for (;;) {
    const plain = skip(scanner, TEXT);
    if (plain !== undefined) text += plain[0];
    else if (scanner.text[scanner.at] === '&') text += readReference(scanner);
    else return text;
  }
}

function readReference(scanner: Scanner): string {
  const entity = skip(scanner, ENTITY);
  if (entity === undefined) throw malformed(scanner, 'an entity is not known');
  const [, decimal, hexadecimal, name = ''] = entity;
  if (decimal === undefined && hexadecimal === undefined) return NAMED[name] ?? '';
  const code = decimal === undefined ? Number.parseInt(hexadecimal ?? '', 16) : Number(decimal);
  if (code === 0 || code > 0x10ffff) throw malformed(scanner, `there is no character ${code}`);
  return String.fromCodePoint(code);
}

/** A comment or a CDATA section inside an element. */
function skipInside(scanner: Scanner, top: OpenElement): boolean {
  if (!scanner.text.startsWith('<![CDATA[', scanner.at)) return skipMarkup(scanner);
  const end = scanner.text.indexOf(']]>', scanner.at);
  if (end < 0) throw malformed(scanner, 'a CDATA section is not closed');
  top.element.text += scanner.text.slice(scanner.at + 9, end);
  scanner.at = end + 3;
  return true;
}

/** Comments, processing instructions and spaces outside the root element. */
function skipBetween(scanner: Scanner): void {
  while (skip(scanner, SPACE) !== undefined || skipMarkup(scanner));
}

function skipMarkup(scanner: Scanner): boolean {
  const isComment = scanner.text.startsWith('<!--', scanner.at);
  if (!isComment && !scanner.text.startsWith('<?', scanner.at)) return false;
  const closing = isComment ? '-->' : '?>';
  const end = scanner.text.indexOf(closing, scanner.at + 2);
  if (end < 0) throw malformed(scanner, 'a comment is not closed');
  scanner.at = end + closing.length;
  return true;
}

function skip(scanner: Scanner, pattern: RegExp): RegExpExecArray | undefined {
  pattern.lastIndex = scanner.at;
  const found = pattern.exec(scanner.text);
  if (found === null) return undefined;
  scanner.at = pattern.lastIndex;
  return found;
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

function malformed(scanner: Scanner, how: string): ImageError {
  return new ImageError('corrupt', `An XML document is damaged: ${how}`, { offset: scanner.at });
}
