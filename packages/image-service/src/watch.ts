import type { Configuration } from './config/load.ts';
import { ConfigurationError } from './config/problem.ts';
import { logFileProblems } from './configured.ts';
import type { Watch } from './observed.ts';
import type { LogPlace } from './telemetry/log.ts';
import { logPlace, openLog } from './telemetry/log.ts';
import { lazyFigures } from './telemetry/lazy-figures.ts';
import { openTraces } from './telemetry/traces.ts';

/** Log, figures and traces of one process. */
export interface OpenedWatch extends Watch {
  /** For parts that know warnings and errors alone. */
  line(message: string, error?: unknown): void;
  close(): Promise<void>;
}

/** How to open them. */
export interface WatchOptions {
  readonly version: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Gets the entries of the log; `process`: the file of the configuration, else standard error. */
  readonly logging: 'process' | ((entry: string) => void);
}

/** Opens the log, begins to count, and exports traces where the environment asks for it. Throws `ConfigurationError` for a log file. */
export async function openWatch(configuration: Configuration, options: WatchOptions): Promise<OpenedWatch> {
  const { level, file, form } = configuration.operators.log;
  const { version, environment, logging } = options;
  const place = logging === 'process' ? openPlace(file) : { write: logging, close: () => {} };
  const onTerminal = logging === 'process' && file === undefined && process.stderr.isTTY;
  const { secrets } = configuration;
  const log = openLog({ level, form: form ?? (onTerminal ? 'text' : 'json'), secrets, write: place.write });
  const figures = lazyFigures(async () => (await import('./telemetry/prometheus.ts')).openFigures(version));
  const traces = await openTraces(version, environment);
  const fatal = (error: unknown): void => log.error('the process ends by an error that nobody caught', { err: error });
  if (logging === 'process') process.on('uncaughtExceptionMonitor', fatal);
  return {
    log,
    figures,
    line: (message, error) => (error === undefined ? log.warn(message) : log.error(message, { err: error })),
    async close() {
      await figures.close();
      await traces?.close();
      process.off('uncaughtExceptionMonitor', fatal);
      place.close();
    },
  };
}

function openPlace(file: string | undefined): LogPlace {
  try {
    return logPlace(file);
  } catch (error) {
    throw new ConfigurationError(logFileProblems(file, error));
  }
}
