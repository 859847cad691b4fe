import type { Format, GivenOptions } from '@diskmorph/disk-image';
import { UsageError } from './arguments/command.ts';

/** The target options that `--compress` stands for. Throws `UsageError` where the format has no such compression. */
export function compressionOptions(format: Format, method: string | undefined): GivenOptions {
  const option = format.writer?.options.find(({ name }) => name === 'compression');
  if (option !== undefined) {
    const choices = option.values.split(', ').filter((value) => value !== 'none');
    const chosen = method ?? choices[0] ?? '';
    if (choices.includes(chosen)) return { compression: chosen };
    throw new UsageError(`--compress=${chosen} is not one of ${choices.join(', ')} for ${format.name}`);
  }
  const subformat = format.writer?.options.find(({ name }) => name === 'subformat');
  if (subformat?.values.includes('streamOptimized') !== true) {
    throw new UsageError(`${format.name} images cannot be compressed`);
  }
  if (method === undefined || method === 'zlib') return { subformat: 'streamOptimized' };
  throw new UsageError(`${format.name} images are compressed by zlib only`);
}
