/** Processor time and memory of a process and everything that it started (Linux). */
import { readdirSync, readFileSync } from 'node:fs';

/** Watches a process and its descendants. */
export interface TreeWatch {
  /** User and system time up to now, of descendants that have ended too. */
  cpuSeconds(): number;
  /** The largest sum of resident memory since the last call, in MiB; pages that processes share count for each. */
  takePeakMib(): number;
  end(): void;
}

/** The kernel's clock ticks in a second, and bytes in a page, on every Linux that Node runs on. */
const TICKS = 100;
const PAGE_BYTES = 4096;
const SAMPLE_MS = 50;

interface ProcessFacts {
  readonly parent: number;
  readonly cpuTicks: number;
  readonly pages: number;
}

/** Watches from now on; short-lived processes count when they live at a sample, their processor time always. */
export function watchTree(root: number): TreeWatch {
  let peakPages = 0;
  const sample = (): readonly ProcessFacts[] => {
    const tree = treeOf(root);
    peakPages = Math.max(
      peakPages,
      tree.reduce((sum, each) => sum + each.pages, 0),
    );
    return tree;
  };
  const timer = setInterval(sample, SAMPLE_MS).unref();
  return {
    cpuSeconds: () => sample().reduce((sum, each) => sum + each.cpuTicks, 0) / TICKS,
    takePeakMib() {
      sample();
      const mib = (peakPages * PAGE_BYTES) / 2 ** 20;
      peakPages = 0;
      return mib;
    },
    end: () => clearInterval(timer),
  };
}

function treeOf(root: number): readonly ProcessFacts[] {
  const all = new Map<number, ProcessFacts>();
  for (const name of readdirSync('/proc')) {
    const facts = /^\d+$/.test(name) ? factsOf(name) : undefined;
    if (facts !== undefined) all.set(Number(name), facts);
  }
  const belongs = (pid: number): boolean => pid === root || (pid > 1 && belongs(all.get(pid)?.parent ?? 0));
  return [...all].filter(([pid]) => belongs(pid)).map(([, facts]) => facts);
}

/** Undefined for a process that is gone by now. proc(5), `/proc/pid/stat`: fields behind the name in parentheses. */
function factsOf(pid: string): ProcessFacts | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const at = (field: number): number => Number(fields[field - 3]);
    return { parent: at(4), cpuTicks: at(14) + at(15) + at(16) + at(17), pages: at(24) };
  } catch {
    return undefined;
  }
}
