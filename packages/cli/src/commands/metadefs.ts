import type { LoadedMetadefs, LoadMode } from '@diskmorph/image-service';
import { loadMetadefs } from '@diskmorph/image-service';
import type { Command, CommandContext } from '../arguments/command.ts';
import { UsageError } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { JSON_OPTION } from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import { SERVICE_OPTIONS, serviceOptions, tellingFailures } from '../service-access.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { plainText } from '../terminal/text-layout.ts';

/** `diskmorph metadefs load`. */
export const metadefsCommand: Command = {
  name: 'metadefs',
  summary: 'Load files of metadata definitions, such as those that come with Glance, into the database (load).',
  operands: ['ACTION', 'PATH'],
  optionalOperands: 1,
  notes: [
    'PATH is a JSON file with one namespace, or a directory of such files; [DEFAULT] metadata_source_path when it is not given. Each is loaded as a whole or not at all, also while the service runs.',
    'A namespace that is there already is left as it is, unless an option says otherwise.',
  ],
  options: [
    { long: 'merge', summary: 'Add to namespaces that are there what they do not have' },
    { long: 'prefer-new', summary: 'With --merge: let the files win where both have something' },
    { long: 'overwrite', summary: 'With --merge: put the files in the place of such namespaces' },
    ...SERVICE_OPTIONS,
    JSON_OPTION,
  ],
  examples: [
    {
      says: 'those of Glance, where its Debian package puts them',
      line: 'diskmorph metadefs load /usr/share/glance-common/metadefs',
    },
    { says: 'newer ones', line: 'diskmorph metadefs load --merge --prefer-new ./metadefs' },
  ],
  exitCodes: [
    [EXIT.ok, 'every file was loaded, or left alone because its namespace is there'],
    [EXIT.bad, 'a file could not be loaded'],
  ],
  run: runMetadefs,
};

async function runMetadefs(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal } = context;
  const [action = '', ...paths] = given.operands;
  if (action !== 'load') throw new UsageError(`"${action}" is not load`);
  const mode = loadMode(given);
  const loaded = await tellingFailures(() => loadMetadefs(serviceOptions(given, context), { paths, mode }));
  if (given.has('json')) await terminal.json(loaded);
  else await tell(loaded, terminal);
  return loaded.length > 0 && loaded.every(({ outcome }) => outcome !== 'failed') ? EXIT.ok : EXIT.bad;
}

/** As `glance-manage db_load_metadefs` understands them. */
function loadMode(given: GivenArguments): LoadMode {
  const [merge, preferNew, overwrite] = [given.has('merge'), given.has('prefer-new'), given.has('overwrite')];
  if (!merge && (preferNew || overwrite)) throw new UsageError('--prefer-new and --overwrite go with --merge');
  if (preferNew && overwrite) throw new UsageError('--prefer-new and --overwrite exclude each other');
  if (!merge) return 'skip';
  return preferNew ? 'prefer-new' : overwrite ? 'overwrite' : 'merge';
}

async function tell(loaded: readonly LoadedMetadefs[], terminal: Terminal): Promise<void> {
  const { noteStyle } = terminal;
  if (loaded.length === 0) terminal.note(`${noteStyle.red('problem:')} there is no file *.json\n`);
  for (const file of loaded) {
    if (file.outcome !== 'failed') await terminal.out(`${file.outcome} ${plainText(file.namespace ?? '')}\n`);
    else terminal.note(`${noteStyle.red('failed:')} ${plainText(`${file.path}: ${file.message ?? ''}`)}\n`);
  }
}
