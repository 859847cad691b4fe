import type { ConfigurationProblem } from './problem.ts';

/** One assignment of a configuration file. A repeated key gives one entry each time, in file order. */
export interface IniEntry {
  readonly section: string;
  readonly key: string;
  /** Continuation lines are joined with line feeds; quotes around the whole value are taken off. */
  readonly value: string;
  /** `file:line` of the key. */
  readonly origin: string;
}

/** What a configuration file says, and the lines that say nothing. */
export interface IniFile {
  readonly entries: readonly IniEntry[];
  readonly problems: readonly ConfigurationProblem[];
}

interface OpenAssignment {
  readonly key: string;
  readonly lines: string[];
  readonly origin: string;
}

/**
 * Reads the INI dialect of oslo.config: `[section]`, `key = value` or `key : value` (whichever sign comes first), an
 * indented line continues the value before it, a blank line ends it, `#` or `;` in the first column begins a comment
 * (further right they belong to the value). Assignments before the first section are in `DEFAULT`.
 */
export function parseIni(text: string, file: string): IniFile {
  const entries: IniEntry[] = [];
  const problems: ConfigurationProblem[] = [];
  let section = 'DEFAULT';
  let open: OpenAssignment | undefined;
  const close = (): void => {
    if (open !== undefined) {
      entries.push({ section, key: open.key, value: unquoted(open.lines.join('\n')), origin: open.origin });
    }
    open = undefined;
  };
  for (const [index, rawLine] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    const line = rawLine.trimEnd();
    const origin = `${file}:${index + 1}`;
    if (line !== '' && /^[ \t]/.test(line) && open !== undefined) {
      open.lines.push(line.trimStart());
      continue;
    }
    if (/^[#;]/.test(line)) continue;
    close();
    if (line === '') continue;
    const header = /^\[([^\]]*)\]$/.exec(line);
    const assignment = /^([^=:]*)[=:](.*)$/s.exec(line);
    const key = assignment?.[1]?.trim() ?? '';
    if (/^[ \t]/.test(line)) problems.push({ section, message: 'this line continues nothing', value: line, origin });
    else if (line.startsWith('[')) section = sectionName(header, { section, problems, line, origin });
    else if (key === '') problems.push({ section, message: `"${line}" is not "key = value"`, origin });
    else open = { key, lines: [assignment?.[2]?.trim() ?? ''], origin };
  }
  close();
  return { entries, problems };
}

interface HeaderContext {
  readonly section: string;
  readonly problems: ConfigurationProblem[];
  readonly line: string;
  readonly origin: string;
}

function sectionName(header: RegExpExecArray | null, context: HeaderContext): string {
  const name = header?.[1]?.trim() ?? '';
  if (name !== '') return name;
  context.problems.push({
    section: context.section,
    message: `"${context.line}" is not a section header such as [DEFAULT]`,
    origin: context.origin,
  });
  return context.section;
}

function unquoted(value: string): string {
  const trimmed = value.trim();
  const quote = trimmed[0];
  const quoted = trimmed.length >= 2 && (quote === '"' || quote === "'") && trimmed.endsWith(quote);
  return quoted ? trimmed.slice(1, -1) : trimmed;
}
