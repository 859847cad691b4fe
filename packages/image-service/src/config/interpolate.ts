/** How deep references may lead to further references; a loop is found by it. */
const MAX_DEPTH = 16;

/** Finds the text of an option, given its group (undefined: the group of the referring option, then DEFAULT). */
export type ReferenceLookup = (group: string | undefined, name: string) => string | undefined;

/** The text with every reference replaced, or what is wrong with it. */
export type Interpolated = { readonly text: string } | { readonly problem: string };

/**
 * Replaces `$name`, `${name}` and `${group.name}` by the value of that option, and `$$` by one dollar sign. A dollar
 * sign that begins none of these stays as it is.
 */
export function interpolate(text: string, lookup: ReferenceLookup, depth: number = 0): Interpolated {
  if (depth > MAX_DEPTH) return { problem: 'its references lead in a circle' };
  let problem: string | undefined;
  const replaced = text.replaceAll(
    /\$(?:(\$)|\{(?:([\w-]+)\.)?([\w-]+)\}|(?:([A-Za-z_]\w*)\.)?([A-Za-z_]\w*))/g,
    (whole: string, ...groups: (string | undefined)[]) => {
      const [dollar, bracedGroup, bracedName, plainGroup, plainName] = groups;
      if (dollar !== undefined) return '$';
      const name = bracedName ?? plainName ?? '';
      const value = lookup(bracedGroup ?? plainGroup, name) ?? plainPrefix(lookup, plainGroup, name);
      if (value === undefined) {
        problem ??= `${whole} refers to an option that has no value`;
        return whole;
      }
      const inner = interpolate(value, lookup, depth + 1);
      if ('text' in inner) return inner.text;
      problem ??= inner.problem;
      return whole;
    },
  );
  return problem === undefined ? { text: replaced } : { problem };
}

/** `$name.txt` where there is no group called `name`: the option `name`, then `.txt`. */
function plainPrefix(lookup: ReferenceLookup, group: string | undefined, rest: string): string | undefined {
  const value = group === undefined ? undefined : lookup(undefined, group);
  return value === undefined ? undefined : `${value}.${rest}`;
}
