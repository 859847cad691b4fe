import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { issueToken, openConfiguration, TokenFileError } from '@diskmorph/image-service';
import type { Command, CommandContext } from '../arguments/command.ts';
import { UsageError } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { EXIT } from '../exit-code.ts';
import { ToldError } from '../failure.ts';
import { SERVICE_OPTIONS, serviceOptions, tellingFailures } from '../service-access.ts';

const MS_PER_DAY = 86_400_000;
const MOST_DAYS = 36_500;

/** `diskmorph token`. */
export const tokenCommand: Command = {
  name: 'token',
  summary: 'Make a token for callers of the service: its hash goes into the token file, the token to standard output.',
  operands: [],
  notes: [
    'The token is kept nowhere: give it to its user now. A service that runs knows it within seconds. Taking its entry out of the file revokes it.',
    'Who has the role member may read too, and who has admin may do both, as with a Keystone that was set up in the usual way.',
  ],
  options: [
    { long: 'user', value: 'ID', summary: 'Who gets it' },
    { long: 'project', value: 'ID', summary: 'The project that they act for; what they make belongs to it' },
    {
      long: 'role',
      value: 'NAME',
      repeatable: true,
      summary: 'What they may do: reader, member (when not given), admin, service',
    },
    { long: 'days', value: 'N', summary: 'How long it is good; without end when not given' },
    { long: 'comment', value: 'TEXT', summary: 'What it is for' },
    {
      long: 'token-file',
      value: 'FILE',
      summary: 'Where its hash goes, instead of [diskmorph] token_file of the configuration',
    },
    ...SERVICE_OPTIONS,
  ],
  examples: [
    {
      says: 'for a pipeline, for a year',
      line: 'diskmorph token --token-file /etc/diskmorph/tokens.yaml --user ci --project builds --days 365',
    },
  ],
  run: runToken,
};

async function runToken(given: GivenArguments, context: CommandContext): Promise<number> {
  const userId = given.text('user');
  if (userId === undefined) throw new UsageError('--user says who gets the token');
  const projectId = given.text('project');
  if (projectId === undefined) throw new UsageError('--project says for which project');
  const days = given.integer('days', 1);
  if (days !== undefined && days > MOST_DAYS) throw new UsageError(`--days can be at most ${MOST_DAYS}`);
  const comment = given.text('comment');
  const roles = given.all('role');
  const holder = {
    userId,
    projectId,
    roles: roles.length === 0 ? ['member'] : roles,
    ...(days === undefined ? {} : { expires: Date.now() + days * MS_PER_DAY }),
    ...(comment === undefined ? {} : { comment }),
  };
  const token = await tellingFailures(async () => {
    const path = await tokenFile(given, context);
    return issueToken(path, holder, randomBytes).catch((error: unknown) => {
      throw error instanceof TokenFileError ? fileFailure(error) : error;
    });
  });
  await context.terminal.out(`${token}\n`);
  return EXIT.ok;
}

async function tokenFile(given: GivenArguments, context: CommandContext): Promise<string> {
  const named = given.text('token-file');
  if (named !== undefined) return resolve(named);
  const { access } = await openConfiguration(serviceOptions(given, context));
  if (access.tokenFile === undefined) throw new UsageError('the configuration names no token_file; --token-file does');
  return access.tokenFile;
}

function fileFailure(error: TokenFileError): ToldError {
  return new ToldError({ code: error.code, message: error.message, exitCode: EXIT.configuration });
}
