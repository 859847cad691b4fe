import { boolean, integer, path, repeatedList, text } from './option-types.ts';
import type { Definitions, OptionDefinition } from './options.ts';
import type { ValueReader } from './value-source.ts';

/** The value of every option about how the service is watched and stopped. */
export interface OperatorOptionValues {
  readonly debug: boolean;
  readonly logFile: string | undefined;
  readonly logDir: string | undefined;
  readonly useJson: boolean | undefined;
  readonly gracefulShutdownTimeout: number;
  readonly metricsBindHost: string;
  readonly metricsBindPort: number | undefined;
  readonly disableByFilePath: string | undefined;
  readonly disableByFilePaths: readonly string[];
  readonly healthBackends: string | undefined;
  readonly healthDetailed: boolean | undefined;
}

/** Every option about how the service is watched and stopped. */
export const OPERATOR_OPTIONS: Definitions<OperatorOptionValues> = {
  debug: {
    section: 'DEFAULT',
    name: 'debug',
    type: boolean,
    default: 'false',
    help: 'Log every step of imports and every check of health too.',
  },
  logFile: {
    section: 'DEFAULT',
    name: 'log_file',
    type: text,
    sample: '/var/log/diskmorph/serve.log',
    help: 'Where the log goes instead of standard error, relative to log_dir; a line is added to what is there.',
    deprecated: [{ section: 'DEFAULT', name: 'logfile' }],
  },
  logDir: {
    section: 'DEFAULT',
    name: 'log_dir',
    type: path,
    sample: '/var/log/diskmorph',
    help: 'The directory of log_file.',
    deprecated: [{ section: 'DEFAULT', name: 'logdir' }],
  },
  useJson: {
    section: 'DEFAULT',
    name: 'use_json',
    type: boolean,
    sample: 'true',
    help: 'Log JSON, one object a line, or text for people. Not set: text on a terminal, JSON everywhere else.',
  },
  gracefulShutdownTimeout: {
    section: 'DEFAULT',
    name: 'graceful_shutdown_timeout',
    type: integer({ min: 0, max: 86_400 }),
    default: '60',
    help: 'Seconds that calls under way have to end when the service is asked to stop; 0: as long as they last.',
  },
  metricsBindHost: {
    section: 'diskmorph',
    name: 'metrics_bind_host',
    type: text,
    default: '127.0.0.1',
    help: 'The address of metrics_bind_port.',
  },
  metricsBindPort: {
    section: 'diskmorph',
    name: 'metrics_bind_port',
    type: integer({ min: 0, max: 65_535 }),
    sample: '9293',
    help: 'A port for those who watch the service: /metrics and /healthcheck with every detail, and nobody is asked who\nthey are. Without it both are for administrators, on the port of the API.',
  },
  disableByFilePath: {
    section: 'healthcheck',
    name: 'disable_by_file_path',
    type: path,
    sample: '/etc/diskmorph/disabled',
    help: 'While this file is there /healthcheck answers 503, so that load balancers send nobody here.',
  },
  disableByFilePaths: {
    section: 'healthcheck',
    name: 'disable_by_file_paths',
    type: repeatedList,
    default: '',
    sample: '9292:/etc/diskmorph/disabled-9292',
    help: 'The same for one port of several on this machine, as "port:path"; the key repeated.',
  },
  healthBackends: {
    section: 'healthcheck',
    name: 'backends',
    type: text,
    sample: 'disable_by_file',
    help: 'Accepted for the sake of existing files, without effect.',
    ignored: 'is accepted but has no effect: database, stores, space and the files above are always looked at',
  },
  healthDetailed: {
    section: 'healthcheck',
    name: 'detailed',
    type: boolean,
    sample: 'false',
    help: 'Accepted for the sake of existing files, without effect.',
    ignored: 'is accepted but has no effect: administrators are told details, others never',
  },
};

/** How the service is watched and stopped. */
export interface OperatorConfiguration {
  readonly log: {
    readonly level: 'debug' | 'info';
    /** An absolute path or one relative to the working directory; standard error when undefined. */
    readonly file: string | undefined;
    /** Undefined: text on a terminal, JSON everywhere else. */
    readonly form: 'json' | 'text' | undefined;
  };
  readonly stopWithinMs: number;
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
  /** Files that disable the service, some for one port only. */
  readonly disablingFiles: readonly { readonly path: string; readonly port?: number }[];
}

/** The options about how the service is watched and stopped, checked together. */
export function readOperators(reader: ValueReader): OperatorConfiguration {
  const { debug, logFile, logDir, useJson, gracefulShutdownTimeout } = OPERATOR_OPTIONS;
  const file = reader.read(logFile);
  const directory = reader.read(logDir);
  const json = reader.read(useJson);
  reader.read(OPERATOR_OPTIONS.healthBackends);
  reader.read(OPERATOR_OPTIONS.healthDetailed);
  return {
    log: {
      level: reader.read(debug) === true ? 'debug' : 'info',
      file: file === undefined || directory === undefined || file.startsWith('/') ? file : `${directory}/${file}`,
      form: json === undefined ? undefined : json ? 'json' : 'text',
    },
    stopWithinMs: 1000 * (reader.read(gracefulShutdownTimeout) ?? 0),
    metrics: readMetrics(reader),
    disablingFiles: readDisablingFiles(reader),
  };
}

function readMetrics(reader: ValueReader): OperatorConfiguration['metrics'] {
  const host = reader.read(OPERATOR_OPTIONS.metricsBindHost) ?? '';
  const port = reader.read(OPERATOR_OPTIONS.metricsBindPort);
  return port === undefined ? undefined : { host, port };
}

function readDisablingFiles(reader: ValueReader): OperatorConfiguration['disablingFiles'] {
  const { disableByFilePath, disableByFilePaths } = OPERATOR_OPTIONS;
  const one = reader.read(disableByFilePath);
  const several = (reader.read(disableByFilePaths) ?? []).flatMap((each) => portPath(each, reader, disableByFilePaths));
  return [...(one === undefined ? [] : [{ path: one }]), ...several];
}

function portPath(
  text: string,
  reader: ValueReader,
  { section, name: option }: OptionDefinition<unknown>,
): readonly { readonly path: string; readonly port: number }[] {
  const [, port, file] = /^(\d{1,5}):(\/.*)$/.exec(text) ?? [];
  if (port !== undefined && file !== undefined) return [{ port: Number(port), path: file }];
  reader.problems.push({ section, option, value: text, message: 'must be a port, ":" and an absolute path' });
  return [];
}
