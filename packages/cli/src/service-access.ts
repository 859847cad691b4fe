import type { ImageService, OpenOptions } from '@diskmorph/image-service';
import {
  ConfigurationError,
  describeProblem,
  FlowError,
  ImportFailedError,
  ImportPausedError,
  openImageService,
} from '@diskmorph/image-service';
import type { CommandContext, OptionSpec } from './arguments/command.ts';
import type { GivenArguments } from './arguments/given-arguments.ts';
import { EXIT, EXIT_BY_ERROR_CODE } from './exit-code.ts';
import type { Failure } from './failure.ts';
import { ToldError } from './failure.ts';
import { plainText } from './terminal/text-layout.ts';

/** Where the service has its configuration and its state. */
export const SERVICE_OPTIONS: readonly OptionSpec[] = [
  {
    long: 'config-file',
    value: 'FILE',
    repeatable: true,
    summary:
      'A configuration file, or a directory of *.conf; later ones win. Without one the built-in configuration holds',
  },
  {
    long: 'config-dir',
    value: 'DIR',
    repeatable: true,
    joins: 'config-file',
    summary: 'The *.conf of a directory, in the order of their names, between the files named before and after it',
  },
  {
    long: 'state-dir',
    value: 'DIR',
    summary: 'Where images and tasks are kept; DISKMORPH_STATE_DIR or ~/.local/state/diskmorph when it is not given',
  },
];

/** How the options of a command say to open the service. */
export function serviceOptions(given: GivenArguments, { terminal }: CommandContext): OpenOptions {
  const stateDir = given.text('state-dir');
  return {
    configFiles: given.all('config-file'),
    ...(stateDir === undefined ? {} : { stateDir }),
    log: (message, error) => {
      terminal.note(`${terminal.noteStyle.yellow('warning:')} ${plainText(message)}\n`);
      if (error instanceof Error) terminal.note(`${error.stack}\n`);
    },
  };
}

/** Opens the service, lets `work` use it, closes it; its errors become failures that are told as such. */
export async function withService<T>(
  given: GivenArguments,
  context: CommandContext,
  work: (service: ImageService) => Promise<T>,
): Promise<T> {
  return tellingFailures(async () => {
    const service = await openImageService(serviceOptions(given, context));
    try {
      return await work(service);
    } finally {
      await service.close();
    }
  });
}

/** Does the work; errors of the service become failures that are told as such. */
export async function tellingFailures<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toldError(error);
  }
}

function toldError(error: unknown): unknown {
  const failure = serviceFailure(error);
  if (failure === undefined) return error;
  const told = new ToldError(failure);
  told.cause = error;
  return told;
}

function serviceFailure(error: unknown): Failure | undefined {
  if (error instanceof ConfigurationError) return configurationFailure(error);
  if (error instanceof ImportFailedError) return importFailure(error);
  if (error instanceof ImportPausedError) {
    return { code: error.code, message: error.message, advice: GO_ON, exitCode: EXIT.busy };
  }
  if (error instanceof FlowError && error.code === 'locked') {
    const advice = '"diskmorph tasks" shows what it is doing';
    return { code: error.code, message: error.message, advice, exitCode: EXIT.busy };
  }
  return refusal(error);
}

/** Everything else that the service refuses bears a code of lower-case words; faults of the system have other ones. */
function refusal(error: unknown): Failure | undefined {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (!/^[a-z]+(_[a-z]+)*$/.test(code) || Object.hasOwn(EXIT_BY_ERROR_CODE, code)) return undefined;
  return { code, message: error instanceof Error ? error.message : code, exitCode: EXIT.taskFailed };
}

const GO_ON = '"diskmorph resume" goes on with it';

function configurationFailure({ code, problems }: ConfigurationError): Failure {
  const message = `The configuration cannot be used: ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`;
  const advice = 'mend the named options; where a file, a line or a variable is named, it has the value';
  return { code, message, details: problems.map(describeProblem), advice, exitCode: EXIT.configuration };
}

function importFailure({ code, message, task }: ImportFailedError): Failure {
  const known = Object.entries(EXIT_BY_ERROR_CODE).find(([name]) => name === code);
  return {
    code,
    message: `The import failed: ${message}`,
    advice: `everything was undone; "diskmorph tasks ${task.id}" has the record`,
    exitCode: known === undefined ? EXIT.taskFailed : known[1],
  };
}
