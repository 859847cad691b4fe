/** How one task is told to each program. */
import type { Source, Task } from './cases.ts';
import type { CommandLine } from './measure.ts';

/** The programs that are measured. */
export interface Programs {
  readonly qemuImg: string;
  /** Our drop-in for it, as it is installed. */
  readonly dropIn: string;
  /** `diskmorph`, as it is installed: plain JavaScript for `node`. */
  readonly diskmorph: string;
  readonly node: string;
  readonly shell: string;
  readonly sha512sum: string;
  readonly cp: string;
}

/** The files of one case. */
export interface Places {
  readonly source: string;
  /** The second image of a comparison. */
  readonly other: string;
  readonly target: string;
}

/** A program with its part in the contest. */
export interface Contender {
  readonly name: string;
  /** False for one that does more or less than the peer, whose figures are shown and not judged. */
  readonly isLikeForLike: boolean;
  /** What it does where that is not the case's task. */
  readonly task?: Task;
  readonly commandLine: (places: Places) => CommandLine;
}

/** qemu-img's best: it writes out of order, and has as many requests in flight as it may. */
const BEST_OPTIONS = ['-W', '-m', '16'];
const PEER = 'qemu-img';
const OURS = 'diskmorph';
/** Ours with all that it does when nobody tells it to do less. */
export const VERIFIED = 'diskmorph, verified';
/** The system's own copy of a file, which looks at no byte. */
const COPY = 'cp';

/** Who takes part in the task; the first is the peer, the second is ours. */
export function contendersOf(task: Task, programs: Programs): readonly Contender[] {
  switch (task.kind) {
    case 'convert':
      return [
        ...sameLine(programs, ({ source, target }) => [...convertLine(task), source, target]),
        verified(task, programs),
        ...(task.besideCopy === true ? [copy(task, programs)] : []),
      ];
    case 'convert-and-hash':
      return convertAndHash(task.source, programs);
    case 'compare':
      return sameLine(programs, ({ source, other }) =>
        ['compare', '-f', task.source.format, '-F', task.other.format].concat(source, other),
      );
    case 'info':
      return sameLine(programs, ({ source }) => ['info', '--output=json', source]);
  }
}

/** The same arguments for the peer and for our drop-in. */
function sameLine(programs: Programs, programArguments: (places: Places) => readonly string[]): Contender[] {
  return [
    [PEER, programs.qemuImg],
    [OURS, programs.dropIn],
  ].map(([name = '', program = '']) => ({
    name,
    isLikeForLike: true,
    commandLine: (places) => ({ program, programArguments: programArguments(places) }),
  }));
}

function convertLine(task: Task & { kind: 'convert' }): string[] {
  return ['convert', ...BEST_OPTIONS, '-f', task.source.format, '-O', task.targetFormat, ...task.options];
}

/** `diskmorph convert` as it comes: it reads its result back, and has it on the disk before it says that it is done. */
function verified(task: Task & { kind: 'convert' }, { node, diskmorph }: Programs): Contender {
  const formats = ['-f', task.source.format, '-O', task.targetFormat];
  return {
    name: VERIFIED,
    isLikeForLike: false,
    commandLine: ({ source, target }) => ({
      program: node,
      programArguments: [diskmorph, 'convert', '--quiet', ...formats, ...task.verifiedOptions, source, target],
    }),
  };
}

/** The source, copied by the kernel within itself: what the system takes to move these bytes. */
function copy(task: Task & { kind: 'convert' }, { cp }: Programs): Contender {
  return {
    name: COPY,
    isLikeForLike: false,
    task: { ...task, targetFormat: task.source.format },
    commandLine: ({ source, target }) => ({ program: cp, programArguments: ['--reflink=never', source, target] }),
  };
}

/** The peer needs a second program, which reads the result again; ours prints the content id besides. */
function convertAndHash(source: Source, programs: Programs): Contender[] {
  const { qemuImg, shell, sha512sum, node, diskmorph } = programs;
  const convert = [qemuImg, 'convert', ...BEST_OPTIONS, '-f', source.format, '-O', 'raw'];
  const script = '"${@:2}" && "$0" "$1"';
  const options = ['convert', '--quiet', '--json', '--no-verify', '--checksum', 'sha512'];
  return [
    {
      name: `${PEER}, then sha512sum`,
      isLikeForLike: true,
      commandLine: (places) => ({
        program: shell,
        programArguments: ['-c', script, sha512sum, places.target, ...convert, places.source, places.target],
      }),
    },
    {
      name: `${OURS}, with content id and SHA-512`,
      isLikeForLike: true,
      commandLine: (places) => ({
        program: node,
        programArguments: [diskmorph, ...options, '-f', source.format, '-O', 'raw', places.source, places.target],
      }),
    },
  ];
}
