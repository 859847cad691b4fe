/** A run with invented figures, for tests of what is made from runs. */
import type { ContenderResult } from './contest.ts';
import type { CaseResult, RunResult } from './result-file.ts';

/** A contender that took `wall` seconds and twice that of CPU in every round. */
export function exampleContender(name: string, wall: readonly number[], outputBytes: number = 0): ContenderResult {
  return {
    contender: name,
    isLikeForLike: !name.includes('verified'),
    costs: wall.map((wallSeconds) => ({ wallSeconds, cpuSeconds: 2 * wallSeconds, peakMebibytes: 64 })),
    outputBytes,
  };
}

/** A conversion that compresses: twice as fast as the peer, at the same size. */
export function exampleCase(change: Partial<CaseResult> = {}): CaseResult {
  return {
    name: 'raw-to-qcow2-zlib',
    group: 'write',
    title: 'the raw disk to qcow2 with -c',
    goal: { wall: 0.5, cpu: 0.5 },
    sizeGoal: 1.03,
    contenders: [
      exampleContender('qemu-img', [2, 4, 3], 100 * 2 ** 20),
      exampleContender('diskmorph', [1, 2, 1.5], 100 * 2 ** 20),
      exampleContender('diskmorph, verified', [3, 6, 4.5], 100 * 2 ** 20),
    ],
    ...change,
  };
}

/** One judged case and a plot of three sizes. */
export function exampleRun(change: Partial<RunResult> = {}): RunResult {
  const scaling = [1, 10, 100].map((virtualGib) =>
    exampleScaling(virtualGib, [exampleContender('qemu-img', [0.2]), exampleContender('diskmorph', [0.1])]),
  );
  return {
    version: 1,
    startedAt: '2026-02-03T04:05:06.789Z',
    commit: 'abc1234',
    kind: 'full',
    machine: {
      processor: 'A <fast> processor',
      cores: 2,
      memoryGib: 24,
      kernel: 'Linux 6.1',
      fileSystem: 'ext4',
      node: 'v26.10.0',
      peer: 'qemu-img version 7.2.22',
      codecs: [],
      loadAtStart: 0.25,
    },
    disk: 'The disk: 4 GiB.',
    cases: [exampleCase(), ...scaling],
    ...change,
  };
}

function exampleScaling(virtualGib: number, contenders: readonly ContenderResult[]): CaseResult {
  return {
    name: `scaling-${virtualGib}G-raw-to-qcow2`,
    group: 'scaling',
    title: 'raw with scattered data to qcow2',
    scaling: { series: 'raw to qcow2', virtualGib },
    contenders,
  };
}
