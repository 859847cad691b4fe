import type { ImportedImage, ImportOptions } from '@diskmorph/image-service';
import type { Command, CommandContext } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { JSON_OPTION, PROGRESS_OPTIONS, requireOperand } from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import { importProgress } from '../import-progress.ts';
import { importedText } from '../import-text.ts';
import { SERVICE_OPTIONS, withService } from '../service-access.ts';
import { plainText } from '../terminal/text-layout.ts';
import { ENTRY_OPTION, temporaryDirectory, UNPACK_DIR_OPTION } from '../unpacked-source.ts';
import { withProgressView } from '../work-options.ts';

/** `diskmorph import`. */
export const importCommand: Command = {
  name: 'import',
  summary: 'Bring an image into the store: stage, inspect, convert, verify, store, activate.',
  operands: ['FILE'],
  notes: [
    'FILE may be packed (gz, xz, zst, bz2, zip, tar, ova): the image inside is imported. -f raw takes the bytes as they are.',
    'The import survives a crash: the same command, or "diskmorph resume", goes on where it was cut off. Ctrl-C cancels it, and everything is undone; a second Ctrl-C leaves it as it is, to be resumed.',
  ],
  options: [
    { long: 'name', value: 'NAME', summary: 'Name of the image; that of the file when it is not given' },
    {
      long: 'disk-format',
      short: 'f',
      value: 'FMT',
      summary: 'What the file is. Found out from its signature when it is not given; a false declaration is refused',
    },
    { long: 'container-format', value: 'FMT', summary: 'bare when it is not given' },
    {
      long: 'conversion-format',
      short: 'O',
      value: 'FMT',
      summary: 'raw, qcow2 or vmdk: what the image is converted to, instead of what the configuration says',
    },
    {
      long: 'store',
      value: 'STORE',
      repeatable: true,
      summary: 'Store to put it into; the default store when not given',
    },
    { long: 'allow-store-failures', summary: 'Go on when one of several stores fails' },
    ENTRY_OPTION,
    {
      ...UNPACK_DIR_OPTION,
      summary:
        'Where the format of a compressed FILE is found out when -f does not say it; $TMPDIR or /var/tmp when it is not given',
    },
    ...SERVICE_OPTIONS,
    ...PROGRESS_OPTIONS,
    JSON_OPTION,
  ],
  examples: [
    { says: 'with the built-in configuration', line: 'diskmorph import fixtures/sample.qcow2' },
    { says: 'declared, named, converted', line: 'diskmorph import -f vmdk -O qcow2 --name web-server disk.vmdk' },
    {
      says: 'as an operator configured it',
      line: 'diskmorph import --config-file /etc/glance/glance-api.conf disk.qcow2',
    },
  ],
  afterCancel: () => 'the import was undone',
  run: runImport,
};

async function runImport(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal } = context;
  const imported = await withService(given, context, (service) =>
    withProgressView(given, context, (view) =>
      service.import(requireOperand(given, 0), {
        ...importOptions(given),
        signal: context.signal,
        onProgress: importProgress(view),
        onSubmitted: ({ taskId, resumed }) => announce(taskId, resumed, { given, context }),
      }),
    ),
  );
  if (given.has('json')) await terminal.json(imported);
  else if (!given.has('quiet')) await terminal.out(importedText(imported, terminal.outStyle));
  for (const warning of warningsOf(imported, given)) {
    terminal.note(`${terminal.noteStyle.yellow('warning:')} ${plainText(warning)}\n`);
  }
  return EXIT.ok;
}

/** From here on the import survives a crash, so its task is worth knowing. */
function announce(
  taskId: string,
  resumed: boolean,
  { given, context }: { readonly given: GivenArguments; readonly context: CommandContext },
): void {
  if (given.text('progress') === 'json') {
    context.terminal.note(`${JSON.stringify({ event: 'submitted', taskId, resumed })}\n`);
  } else if (!given.has('quiet')) {
    context.terminal.note(`${resumed ? 'going on with' : 'recorded as'} task ${taskId}\n`);
  }
}

function importOptions(given: GivenArguments): ImportOptions {
  const name = given.text('name');
  const diskFormat = given.text('disk-format');
  const containerFormat = given.text('container-format');
  const conversionFormat = given.text('conversion-format');
  const entry = given.text(ENTRY_OPTION.long);
  const directory = given.text(UNPACK_DIR_OPTION.long) ?? temporaryDirectory();
  return {
    unpack: { directory, ...(entry === undefined ? {} : { entry }) },
    ...(name === undefined ? {} : { name }),
    ...(diskFormat === undefined ? {} : { diskFormat }),
    ...(containerFormat === undefined ? {} : { containerFormat }),
    ...(conversionFormat === undefined ? {} : { conversionFormat }),
    ...(given.has('store') ? { stores: given.all('store') } : {}),
    allStoresMustSucceed: !given.has('allow-store-failures'),
  };
}

function warningsOf(imported: ImportedImage, given: GivenArguments): readonly string[] {
  return given.has('quiet') || given.has('json') ? [] : (imported.task.job?.warnings ?? []);
}
