import type { Command } from './arguments/command.ts';

/** A command as the program's help shows it; the rest is loaded when it is needed, for start-up time counts. */
export interface ListedCommand {
  readonly name: string;
  readonly summary: string;
  load(): Promise<Command>;
}

/** Every command, in the groups and the order of the help. */
export const commandGroups: readonly { readonly title: string; readonly commands: readonly ListedCommand[] }[] = [
  {
    title: 'Convert',
    commands: [
      {
        name: 'convert',
        summary: 'Convert an image to another format, and verify the result',
        load: async () => (await import('./commands/convert.ts')).convertCommand,
      },
      {
        name: 'lint',
        summary: 'Say before an upload what a target will refuse, and how to mend it',
        load: async () => (await import('./commands/lint.ts')).lintCommand,
      },
      {
        name: 'targets',
        summary: 'List the clouds and hypervisors that images can be made for',
        load: async () => (await import('./commands/targets.ts')).targetsCommand,
      },
      {
        name: 'measure',
        summary: 'Say how large a converted image would be',
        load: async () => (await import('./commands/measure.ts')).measureCommand,
      },
    ],
  },
  {
    title: 'Import into a store',
    commands: [
      {
        name: 'import',
        summary: 'Bring an image into the store: inspected, converted, verified',
        load: async () => (await import('./commands/import.ts')).importCommand,
      },
      {
        name: 'serve',
        summary: 'Serve the Images API over HTTP',
        load: async () => (await import('./commands/serve.ts')).serveCommand,
      },
      {
        name: 'worker',
        summary: 'Run the tasks of a service that is spread over several processes',
        load: async () => (await import('./commands/worker.ts')).workerCommand,
      },
      {
        name: 'database',
        summary: 'Look at the tables of the service, or bring them up to date',
        load: async () => (await import('./commands/database.ts')).databaseCommand,
      },
      {
        name: 'config',
        summary: 'Check the configuration of the service, or print a sample',
        load: async () => (await import('./commands/config.ts')).configCommand,
      },
      {
        name: 'metadefs',
        summary: 'Load metadata definitions into the database of the service',
        load: async () => (await import('./commands/metadefs.ts')).metadefsCommand,
      },
      {
        name: 'token',
        summary: 'Make a token for callers of the service',
        load: async () => (await import('./commands/token.ts')).tokenCommand,
      },
      {
        name: 'images',
        summary: 'List the images in the store',
        load: async () => (await import('./commands/images.ts')).imagesCommand,
      },
      {
        name: 'tasks',
        summary: 'List the imports and how far they are',
        load: async () => (await import('./commands/tasks.ts')).tasksCommand,
      },
      {
        name: 'resume',
        summary: 'Bring imports that were cut off to their end',
        load: async () => (await import('./commands/resume.ts')).resumeCommand,
      },
    ],
  },
  {
    title: 'Look at images',
    commands: [
      {
        name: 'inspect',
        summary: 'Say what a file is and whether it is safe to use',
        load: async () => (await import('./commands/inspect.ts')).inspectCommand,
      },
      {
        name: 'info',
        summary: 'Show what the metadata of an image says',
        load: async () => (await import('./commands/info.ts')).infoCommand,
      },
      {
        name: 'map',
        summary: 'Show which parts of the disk hold data',
        load: async () => (await import('./commands/map.ts')).mapCommand,
      },
      {
        name: 'check',
        summary: 'Check the tables of an image for damage and leaks',
        load: async () => (await import('./commands/check.ts')).checkCommand,
      },
      {
        name: 'compare',
        summary: 'Say whether two images hold the same disk',
        load: async () => (await import('./commands/compare.ts')).compareCommand,
      },
      {
        name: 'digest',
        summary: 'Print the content id: the same for the same disk in any format',
        load: async () => (await import('./commands/digest.ts')).digestCommand,
      },
      {
        name: 'formats',
        summary: 'List the formats that can be read and written, with their options',
        load: async () => (await import('./commands/formats.ts')).formatsCommand,
      },
    ],
  },
];

/** All commands in one list. */
export const allCommands: readonly ListedCommand[] = commandGroups.flatMap((group) => group.commands);
