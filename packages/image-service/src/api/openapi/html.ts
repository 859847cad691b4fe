/** A piece of HTML that may stand in other HTML as it is. */
export interface Html {
  readonly html: string;
}

/** What may stand in a template: text is escaped, HTML is not, of a list each part, of nothing nothing. */
type Part = string | number | Html | undefined | readonly Part[];

/** HTML with its parts filled in: `html\`<b>${name}</b>\``. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return { html: strings.reduce((text, piece, position) => `${text}${partText(parts[position - 1])}${piece}`) };
}

function partText(part: Part): string {
  if (part === undefined) return '';
  if (typeof part === 'string' || typeof part === 'number') return escaped(String(part));
  return 'html' in part ? part.html : part.map(partText).join('');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
