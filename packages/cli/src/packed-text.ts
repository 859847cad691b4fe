import { exactSizeText } from './terminal/size-text.ts';
import { plainText } from './terminal/text-layout.ts';

/** What an image was taken out of, as a row of facts; none when it was not packed. */
export function packedRows(
  packed: { readonly wrappers: readonly string[]; readonly name?: string; readonly fileSize?: number } | undefined,
): [string, string][] {
  if (packed === undefined) return [];
  const { wrappers, name, fileSize } = packed;
  const notes = [
    ...(name === undefined ? [] : [plainText(name)]),
    wrappers.join(' in '),
    ...(fileSize === undefined ? [] : [exactSizeText(fileSize)]),
  ];
  return [['packed', notes.join(', ')]];
}
