import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What the processes of a service said, each in a file of its own. */
export interface Logs {
  readonly dir: string;
  /** The file for one more process. */
  newLog(role: string): string;
  /** What was said, by any process, about the calls that these texts name, stacks and all. */
  about(texts: readonly string[]): Promise<string>;
}

const CALL_ID = /req-[0-9a-f-]{36}/g;
/** Digits of a file's number. */
const DIGITS = 4;

/** The logs of an installation in `dir`. */
export async function openLogs(dir: string): Promise<Logs> {
  const logs = join(dir, 'logs');
  await mkdir(logs);
  let begun = 0;
  return {
    dir: logs,
    newLog: (role) => join(logs, `${String(++begun).padStart(DIGITS, '0')}-${role}.log`),
    async about(texts) {
      const calls = new Set(texts.flatMap((text) => text.match(CALL_ID) ?? []));
      if (calls.size === 0) return '';
      const found: string[] = [];
      for (const name of (await readdir(logs)).sort()) {
        const entries = entriesOf(await readFile(join(logs, name), 'utf8'));
        const named = entries.filter((entry) => (entry.match(CALL_ID) ?? []).some((id) => calls.has(id)));
        found.push(...named.map((entry) => `${name}: ${entry}`));
      }
      return found.join('\n');
    },
  };
}

/** A line, with the indented lines below it. */
function entriesOf(text: string): readonly string[] {
  return text.split(/\n(?! )/);
}
