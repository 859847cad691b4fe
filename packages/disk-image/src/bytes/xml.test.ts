import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ImageError } from '../errors.ts';
import { childOf, childrenOf, parseXml } from './xml.ts';

const LIMITS = { maxElements: 100, maxDepth: 20 };

function parse(text: string): ReturnType<typeof parseXml> {
  return parseXml(new TextEncoder().encode(text), LIMITS);
}

test('elements, attributes, text, comments and references', () => {
  const root = parse(
    `\uFEFF<?xml version="1.0" encoding="UTF-8"?>\n<!-- a -->\n<!DOCTYPE plist PUBLIC "-//x//EN" "http://x/y.dtd">
    <o:a xmlns:o="u" o:id = 'x &amp; &#65;&#x42;'><b/>t<b k="1">&lt;u&gt;</b ><!-- <c> --><![CDATA[<&]]>v<?p i?></o:a> `,
  );
  expect(root.name).toBe('a');
  expect(root.attributes.get('id')).toBe('x & AB');
  expect(root.text).toBe('t<&v');
  expect(childrenOf(root, 'b').map(({ text }) => text)).toEqual(['', '<u>']);
  expect(childOf(root, 'c')).toBeUndefined();
});

test.each([
  { name: 'nothing', text: '', code: 'corrupt' },
  { name: 'only text', text: 'hello', code: 'corrupt' },
  { name: 'an element that is not closed', text: '<a><b></b>', code: 'corrupt' },
  { name: 'crossed tags', text: '<a><b></a></b>', code: 'corrupt' },
  { name: 'two roots', text: '<a/><b/>', code: 'corrupt' },
  { name: 'an attribute twice', text: '<a x="1" x="2"/>', code: 'corrupt' },
  { name: 'an attribute without quotes', text: '<a x=1/>', code: 'corrupt' },
  { name: 'attributes without a space', text: '<a x="1"y="2"/>', code: 'corrupt' },
  { name: 'an entity nobody declared', text: '<a>&xxe;</a>', code: 'corrupt' },
  { name: 'the character 0', text: '<a>&#0;</a>', code: 'corrupt' },
  { name: 'a comment without end', text: '<a><!-- </a>', code: 'corrupt' },
  { name: 'a section without end', text: '<a><![CDATA[ </a>', code: 'corrupt' },
  {
    name: 'entities of its own',
    text: '<!DOCTYPE a [<!ENTITY xxe SYSTEM "file:///etc/passwd">]><a>&xxe;</a>',
    code: 'unsafe',
  },
  { name: 'too many elements', text: `<a>${'<b/>'.repeat(101)}</a>`, code: 'unsafe' },
  { name: 'elements too deep', text: '<a>'.repeat(21), code: 'unsafe' },
])('$name is refused: $code', ({ text, code }) => {
  expect(() => parse(text)).toThrow(expect.objectContaining({ code }));
});

test('bytes that are no UTF-8 are refused', () => {
  expect(() => parseXml(Uint8Array.from([0x3c, 0xff, 0x3e]), LIMITS)).toThrow(ImageError);
});

test('any text is an element or an ImageError', () => {
  const parts = fc.constantFrom(
    '<',
    '>',
    '/',
    'a',
    '"',
    '=',
    ' ',
    '&',
    ';',
    '<!--',
    '-->',
    '<![CDATA[',
    ']]>',
    '<?',
    '?>',
  );
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 30 }), (pieces) => {
      try {
        expect(parse(pieces.join('')).children.length).toBeGreaterThanOrEqual(0);
      } catch (error) {
        if (!(error instanceof ImageError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});
