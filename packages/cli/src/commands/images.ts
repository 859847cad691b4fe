import type { ImageRecord } from '@diskmorph/image-service';
import type { Command, CommandContext } from '../arguments/command.ts';
import type { GivenArguments } from '../arguments/given-arguments.ts';
import { JSON_OPTION } from '../arguments/shared-options.ts';
import { EXIT } from '../exit-code.ts';
import { imagesText, imageText } from '../import-text.ts';
import { SERVICE_OPTIONS, withService } from '../service-access.ts';

/** `diskmorph images`. */
export const imagesCommand: Command = {
  name: 'images',
  summary: 'List the images that were imported, newest first, or show one with all that is known of it.',
  operands: ['IMAGE'],
  optionalOperands: 1,
  options: [{ long: 'name', value: 'NAME', summary: 'Only images of this name' }, ...SERVICE_OPTIONS, JSON_OPTION],
  examples: [
    { says: 'a table', line: 'diskmorph images' },
    { says: 'where the newest one lies', line: "diskmorph images --json | jq -r '.[0].locations[0].location'" },
  ],
  run: runImages,
};

async function runImages(given: GivenArguments, context: CommandContext): Promise<number> {
  const { terminal } = context;
  const name = given.text('name');
  const [wanted] = given.operands;
  const shown = await withService<ImageRecord | readonly ImageRecord[]>(given, context, (service) =>
    wanted === undefined ? service.images(name === undefined ? {} : { name }) : service.image(wanted),
  );
  if (given.has('json')) await terminal.json(shown);
  else await terminal.out('id' in shown ? imageText(shown, terminal.outStyle) : imagesText(shown, terminal.outStyle));
  return EXIT.ok;
}
