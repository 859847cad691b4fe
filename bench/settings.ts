/** The options of the benchmark's command line. */
import { parseArgs } from 'node:util';
import type { Selection } from './cases.ts';

/** How a run is made. */
export interface Settings extends Selection {
  /** How often each program is measured in each case. */
  readonly pairs: number;
  /** Virtual size of the disk, in bytes. */
  readonly diskBytes: number;
}

/** What `--help` prints. */
export const USAGE = `npm run bench -- [--quick] [--only CASE_OR_GROUP,...] [--pairs N]

  --quick      a small disk, fewer cases, like for like only: under two minutes once the disk is made
  --only A,B   these cases or groups (read, write, sparse, more, scaling)
  --pairs N    how often each program is measured; 5, with --quick 2
`;

const FULL_PAIRS = 5;
const QUICK_PAIRS = 2;
const MOST_PAIRS = 1000;
const FULL_DISK_BYTES = 4 * 2 ** 30;
const QUICK_DISK_BYTES = 2 ** 29;

/** The settings of these arguments; undefined where help is asked for. Throws an Error that says what is wrong. */
export function readSettings(programArguments: readonly string[]): Settings | undefined {
  const { values } = parseArgs({
    args: [...programArguments],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      pairs: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const only = values.only.flatMap((names) => names.split(',')).filter((name) => name !== '');
  const pairs = values.pairs === undefined ? undefined : pairCount(values.pairs);
  if (values.quick) return { only, quick: true, pairs: pairs ?? QUICK_PAIRS, diskBytes: QUICK_DISK_BYTES };
  return { only, quick: false, pairs: pairs ?? FULL_PAIRS, diskBytes: FULL_DISK_BYTES };
}

function pairCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count > 0 && count <= MOST_PAIRS) return count;
  throw new Error(`--pairs ${text} is not a whole number from 1 to ${MOST_PAIRS}`);
}
