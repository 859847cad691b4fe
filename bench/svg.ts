/** A few words of SVG for the plots: plain text, no library, the same bytes for the same figures. */

/** Attributes by name; numbers are rounded to a hundredth. */
export type Attributes = Readonly<Record<string, string | number>>;

/** The colours of the plots, which stand on white and can be told apart without seeing colours. */
export const COLORS = {
  text: '#1f2328',
  faint: '#d0d7de',
  muted: '#59636e',
  first: '#0550ae',
  second: '#bc4c00',
} as const;

/** An element with what is in it, which is SVG already. */
export function element(name: string, attributes: Attributes, content: string = ''): string {
  const list = Object.entries(attributes).map(([key, value]) => ` ${key}="${attributeText(value)}"`);
  return `<${name}${list.join('')}${content === '' ? '/>' : `>${content}</${name}>`}`;
}

/** A line of text at its base line. */
export function label(x: number, y: number, words: string, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, escaped(words));
}

/** A straight line. */
export function line(from: readonly [number, number], to: readonly [number, number], attributes: Attributes): string {
  return element('line', { x1: from[0], y1: from[1], x2: to[0], y2: to[1], ...attributes });
}

/** A whole picture on white; `title` is what somebody hears who cannot see it. */
export function picture(
  size: { readonly width: number; readonly height: number },
  title: string,
  parts: readonly string[],
): string {
  const { width, height } = size;
  const root = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    role: 'img',
    'font-family': 'system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif',
    'font-size': 13,
    fill: COLORS.text,
  };
  const ground = element('rect', { width, height, fill: '#ffffff', rx: 6 });
  return `${element('svg', root, `\n${[`<title>${escaped(title)}</title>`, ground, ...parts].join('\n')}\n`)}\n`;
}

function attributeText(value: string | number): string {
  return typeof value === 'number' ? String(Math.round(value * 100) / 100) : escaped(value);
}

function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
