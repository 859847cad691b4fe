/** The fields that have places of their own in a line for people. */
const PLACED = new Set(['level', 'time', 'msg']);

/** A line of the log as people read it on a terminal: time, level, message, the other fields; stacks on lines below. */
export function humanLine(json: string): string {
  const entry: Readonly<Record<string, unknown>> = JSON.parse(json);
  const time = String(entry['time']).slice(11, 23);
  const level = String(entry['level']).toUpperCase().padEnd(5);
  const stacks: string[] = [];
  const facts = Object.entries(entry).flatMap(([name, value]) => {
    if (PLACED.has(name)) return [];
    const stack = stackOf(value);
    if (stack === undefined) return [` ${name}=${factText(value)}`];
    stacks.push(stack);
    return [];
  });
  const below = stacks.map((stack) => `    ${stack.replaceAll('\n', '\n    ')}\n`);
  return `${time} ${level} ${oneLine(String(entry['msg'] ?? ''))}${facts.join('')}\n${below.join('')}`;
}

function stackOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('stack' in value)) return undefined;
  return printable(String(value.stack), '\n');
}

function factText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[\w./:@*+-]+$/.test(text) ? text : JSON.stringify(value);
}

function oneLine(text: string): string {
  return printable(text.replaceAll('\n', ' | '), '');
}

/** Without what would steer a terminal. */
function printable(text: string, kept: string): string {
  return Array.from(text, (letter) => (kept.includes(letter) || !/\p{Cc}/u.test(letter) ? letter : '?')).join('');
}
