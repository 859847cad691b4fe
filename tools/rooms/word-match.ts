/** Finds words and phrases however they are written: `L2Table`, `l2_table`, `l2-table` and "L2 tables" all say "l2 table". */

/** One word of a text. */
interface Word {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

const WORD = /[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+/g;
const ADDRESS = /https?:\/\/\S*/g;
const JOINED = /^[\s_*/-]*$/;

/** Positions in `text` where `phrase` (lower case, words parted by spaces) is said, in singular or plural. Web addresses do not count. */
export function findPhrase(text: string, phrase: string): number[] {
  const plain = text.replace(ADDRESS, (address) => ' '.repeat(address.length));
  const words = wordsOf(plain);
  const wanted = phrase.split(' ');
  return words
    .filter((_, index) => isSaidAt(plain, words.slice(index, index + wanted.length), wanted))
    .map((word) => word.start);
}

function wordsOf(text: string): Word[] {
  return [...text.matchAll(WORD)].map((found) => ({
    text: found[0].toLowerCase(),
    start: found.index,
    end: found.index + found[0].length,
  }));
}

function isSaidAt(text: string, words: readonly Word[], wanted: readonly string[]): boolean {
  if (words.length < wanted.length) return false;
  return words.every((word, index) => {
    const expected = wanted[index] ?? '';
    const previous = words[index - 1];
    const adjoins = previous === undefined || JOINED.test(text.slice(previous.end, word.start));
    return adjoins && (word.text === expected || word.text === `${expected}s`);
  });
}
