import type { DestinationStream } from 'pino';
import pino from 'pino';
import { humanLine } from './human-line.ts';
import { logContext } from './log-context.ts';
import { redactedValue, redactor } from './redact.ts';

/** Facts of a line beside its message; an error under any name is told whole. */
export type LogFields = Readonly<Record<string, unknown>>;

/** What operators read. Secrets do not get through: see `redactor`. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** How to log. */
export interface LogOptions {
  readonly level: 'debug' | 'info';
  /** Text is for people: one line for each entry, and the stack of an error below it. */
  readonly form: 'json' | 'text';
  /** Values that are to be shown nowhere. */
  readonly secrets: readonly string[];
  /** Takes one entry with its line feed. */
  readonly write: (entry: string) => void;
}

/** A log of JSON lines: `level`, `time` (ISO 8601), the ids of the work at hand, the fields, `msg`. */
export function openLog({ level, form, secrets, write }: LogOptions): Log {
  const redact = redactor(secrets);
  const stream: DestinationStream = { write: form === 'json' ? write : (line) => write(humanLine(line)) };
  const lines = pino(
    {
      level,
      base: null,
      // Errors are told in `redactedValue`.
      serializers: { err: (error: unknown) => error },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      mixin: () => ({ ...logContext() }),
    },
    stream,
  );
  const at =
    (name: keyof Log) =>
    (message: string, fields: LogFields = {}): void => {
      if (lines.isLevelEnabled(name)) lines[name](redactedValue(fields, redact), redact(message));
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** A place for lines: a file that they are added to, or standard error. */
export interface LogPlace {
  readonly write: (entry: string) => void;
  close(): void;
}

/** Opens a file for the log. Throws the system's error when it cannot be written. */
export function logPlace(file: string | undefined): LogPlace {
  // Each line is written at once: the last ones before an end are those that are wanted.
  const destination = pino.destination({ ...(file === undefined ? { fd: 2 } : { dest: file }), sync: true });
  return {
    write: (entry) => void destination.write(entry),
    close: () => {
      if (file !== undefined) destination.end();
    },
  };
}
