/** What a case does, in words. */
import { scatteredName } from '../fixtures/scattered-disk.ts';
import type { Source, Task } from './cases.ts';

/** One line that says what both programs were told. */
export function caseTitle(task: Task): string {
  const source = sourceText(task.source);
  switch (task.kind) {
    case 'convert': {
      const options = task.options.length === 0 ? '' : ` with ${task.options.join(' ')}`;
      return `${source} to ${task.targetFormat}${options}`;
    }
    case 'convert-and-hash':
      return `${source} to raw, with the SHA-512 of the result; qemu-img is followed by sha512sum, ours prints the content id besides`;
    case 'compare':
      return `${source} compared with ${sourceText(task.other)}`;
    case 'info':
      return `information about ${source}: mostly the start of the program`;
  }
}

function sourceText(source: Source): string {
  switch (source.kind) {
    case 'fixture':
      return source.name === 'raw' ? 'the raw disk' : `the disk as ${source.name}`;
    case 'scattered':
      return `${source.format} with scattered data (${scatteredName(source.disk)})`;
    case 'fragmented':
      return `${source.format} with its clusters in shuffled order (${scatteredName(source.disk)})`;
    case 'file':
      return `a small ${source.format} image`;
  }
}
