/** The name that was probably meant: the one with the fewest typing mistakes, undefined when none is near. */
export function nearestName(given: string, names: readonly string[]): string | undefined {
  const scored = names
    .map((name) => ({ name, mistakes: name.startsWith(given) && given.length > 1 ? 0 : mistakes(given, name) }))
    .sort((a, b) => a.mistakes - b.mistakes);
  const best = scored[0];
  return best !== undefined && best.mistakes <= Math.max(1, Math.floor(given.length / 3)) ? best.name : undefined;
}

/** Insertions, deletions and replacements between two words (Levenshtein distance, row by row). */
function mistakes(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
