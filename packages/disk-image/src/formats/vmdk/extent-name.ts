/** File names on every common system are at most this long. */
const MAX_NAME_LENGTH = 255;

/**
 * Why the file name of an extent must not be opened, or undefined when it is a plain name beside the descriptor.
 * Slashes, backslashes, colons (drives, streams, protocol prefixes), control characters, `.` and `..` never pass,
 * whatever a policy would say.
 */
export function extentNameFault(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name.length > MAX_NAME_LENGTH) return `is longer than ${MAX_NAME_LENGTH} characters`;
  if (name.trim() === '.' || name.trim() === '..') return 'is a directory';
  if (/[/\\]/.test(name)) return 'leaves the directory of the descriptor';
  if (name.includes(':')) return 'has a colon, as drives and protocols have';
  for (const character of name) {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x20 || code === 0x7f) return 'has a control character';
  }
  return undefined;
}
