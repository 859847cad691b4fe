/** What is measured: conversions and other work of one real disk, with the figure that each is to reach. */
import { join } from 'node:path';
import type { ScatteredDisk } from '../fixtures/scattered-disk.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** The most that our figure may be, as a multiple of qemu-img's in the same run. */
export interface Goal {
  readonly wall: number;
  readonly cpu: number;
}

/** An image that is read. */
export type Source =
  /** `raw` or a variant of `fixtures/variants.ts`. */
  | { readonly kind: 'fixture'; readonly name: string; readonly format: string }
  | { readonly kind: 'scattered'; readonly disk: ScatteredDisk; readonly format: 'raw' | 'qcow2' }
  | { readonly kind: 'fragmented'; readonly disk: ScatteredDisk; readonly format: 'qcow2' }
  | { readonly kind: 'file'; readonly path: string; readonly format: string };

/** What both programs are told to do. */
export type Task =
  | {
      readonly kind: 'convert';
      readonly source: Source;
      readonly targetFormat: string;
      /** Options of `qemu-img convert`, the same for both programs. */
      readonly options: readonly string[];
      /** Options of `diskmorph convert` that ask for the same target. */
      readonly verifiedOptions: readonly string[];
      /** Nothing is decoded or encoded: `cp` of the source is measured too, for what moving the bytes takes. */
      readonly besideCopy?: true;
    }
  /** To raw, and the SHA-512 of the result. */
  | { readonly kind: 'convert-and-hash'; readonly source: Source }
  | { readonly kind: 'compare'; readonly source: Source; readonly other: Source }
  | { readonly kind: 'info'; readonly source: Source };

/** One row of the table. */
export interface BenchCase {
  readonly name: string;
  /** A name that selects several cases at once. */
  readonly group: 'read' | 'write' | 'sparse' | 'more' | 'scaling';
  readonly task: Task;
  /** Absent where the figures are reported only. */
  readonly goal?: Goal;
  /** The result may not be more than 3 % larger than qemu-img's. */
  readonly compresses?: true;
  /** Runs so short that noise is a large part of them: three times as many pairs. */
  readonly short?: true;
  /** Belongs to `--quick` too. */
  readonly quick?: true;
  /** Where the case belongs in the plot of one data in disks of several sizes. */
  readonly scaling?: ScalingPoint;
}

/** One point of a line of the plot. */
export interface ScalingPoint {
  /** The line's name. */
  readonly series: string;
  readonly virtualGib: number;
}

/** The most that a compressed result may be, as a multiple of qemu-img's. */
export const SIZE_GOAL = 1.03;
/** The most memory that a conversion may hold at once. */
export const PEAK_GOAL_MEBIBYTES = 150;

const RAW: Source = { kind: 'fixture', name: 'raw', format: 'raw' };
const QCOW2: Source = { kind: 'fixture', name: 'qcow2', format: 'qcow2' };
const SAMPLE: Source = {
  kind: 'file',
  path: join(import.meta.dirname, '..', 'fixtures', 'sample.qcow2'),
  format: 'qcow2',
};
const SPARSE: ScatteredDisk = { sizeBytes: 200 * GIB, pieceBytes: 64 * KIB, pieceCount: 1024 };
const FRAGMENTED: ScatteredDisk = { sizeBytes: 20 * GIB, pieceBytes: MIB, pieceCount: 1024 };
const SCALING_GIB = [1, 10, 100] as const;
const SCALING_PIECES = { pieceBytes: MIB, pieceCount: 256 };
const MAP_ONLY: Goal = { wall: 1, cpu: 1 };
const SPARSE_READ: Goal = { wall: 0.6, cpu: 0.6 };

/** Every case, in the order of the report. */
export const cases: readonly BenchCase[] = [
  { ...reading('qcow2-zlib', { wall: 0.5, cpu: 0.6 }), quick: true },
  { ...reading('qcow2-zstd', { wall: 0.7, cpu: 0.9 }), quick: true },
  { ...reading('vmdk-streamOptimized', { wall: 0.35, cpu: 0.5 }), quick: true },
  reading('vmdk-monolithicSparse', SPARSE_READ),
  { ...reading('vhdx', SPARSE_READ), quick: true },
  reading('vpc', SPARSE_READ),
  reading('vdi', SPARSE_READ),
  { ...beside(reading('qcow2', { wall: 0.5, cpu: 0.55 })), short: true, quick: true },
  {
    ...beside(toRaw('fragmented-qcow2', { kind: 'fragmented', disk: FRAGMENTED, format: 'qcow2' })),
    goal: MAP_ONLY,
    short: true,
  },
  {
    ...beside(writing('raw-to-qcow2', { targetFormat: 'qcow2', options: [], verifiedOptions: [] })),
    goal: { wall: 0.5, cpu: 0.6 },
    short: true,
    quick: true,
  },
  {
    ...writing('raw-to-qcow2-zlib', { targetFormat: 'qcow2', options: ['-c'], verifiedOptions: ['--compress=zlib'] }),
    goal: { wall: 0.2, cpu: 0.3 },
    compresses: true,
    quick: true,
  },
  {
    ...writing('raw-to-qcow2-zstd', {
      targetFormat: 'qcow2',
      options: ['-c', '-o', 'compression_type=zstd'],
      verifiedOptions: ['--compress=zstd'],
    }),
    goal: { wall: 0.5, cpu: 0.6 },
    compresses: true,
    quick: true,
  },
  {
    ...writing('raw-to-vmdk-streamOptimized', {
      targetFormat: 'vmdk',
      options: ['-o', 'subformat=streamOptimized'],
      verifiedOptions: ['-o', 'subformat=streamOptimized'],
    }),
    goal: { wall: 0.15, cpu: 0.3 },
    compresses: true,
    quick: true,
  },
  {
    name: 'sparse-200G-raw-to-qcow2',
    group: 'sparse',
    task: fromScattered(SPARSE, 'raw', 'qcow2'),
    goal: MAP_ONLY,
    short: true,
    quick: true,
  },
  {
    name: 'qcow2-to-raw-with-sha512',
    group: 'more',
    task: { kind: 'convert-and-hash', source: QCOW2 },
    goal: { wall: 0.5, cpu: 0.7 },
    quick: true,
  },
  {
    name: 'compare-qcow2-raw',
    group: 'more',
    task: { kind: 'compare', source: QCOW2, other: RAW },
    goal: { wall: 0.8, cpu: 0.8 },
    quick: true,
  },
  { name: 'info', group: 'more', task: { kind: 'info', source: SAMPLE }, short: true, quick: true },
  ...SCALING_GIB.flatMap((gib): BenchCase[] => [scaling(gib, 'raw', 'qcow2'), scaling(gib, 'qcow2', 'raw')]),
];

type ConvertTask = Task & { readonly kind: 'convert' };
type ConvertCase = BenchCase & { readonly task: ConvertTask };

function reading(variant: string, goal: Goal): ConvertCase {
  const format = variant.split('-')[0] ?? variant;
  return { ...toRaw(variant, { kind: 'fixture', name: variant, format }), goal };
}

function toRaw(name: string, source: Source): ConvertCase {
  const task: ConvertTask = { kind: 'convert', source, targetFormat: 'raw', options: [], verifiedOptions: [] };
  return { name: `${name}-to-raw`, group: 'read', task };
}

function writing(name: string, target: Pick<ConvertTask, 'targetFormat' | 'options' | 'verifiedOptions'>): ConvertCase {
  return { name, group: 'write', task: { kind: 'convert', source: RAW, ...target } };
}

/** The case with `cp` beside it. */
function beside(plain: ConvertCase): ConvertCase {
  return { ...plain, task: { ...plain.task, besideCopy: true } };
}

function scaling(gib: number, from: 'raw' | 'qcow2', to: 'raw' | 'qcow2'): BenchCase {
  const disk = { sizeBytes: gib * GIB, ...SCALING_PIECES };
  return {
    name: `scaling-${gib}G-${from}-to-${to}`,
    group: 'scaling',
    task: fromScattered(disk, from, to),
    short: true,
    scaling: { series: `${from} to ${to}`, virtualGib: gib },
  };
}

function fromScattered(disk: ScatteredDisk, from: 'raw' | 'qcow2', targetFormat: string): Task {
  const source: Source = { kind: 'scattered', disk, format: from };
  return { kind: 'convert', source, targetFormat, options: [], verifiedOptions: [] };
}

/** Which cases are run. */
export interface Selection {
  /** Names of cases and of groups; none for all. */
  readonly only: readonly string[];
  readonly quick: boolean;
}

/** The cases that were asked for, in the order of the report. Throws an Error naming those there are. */
export function selectCases({ only, quick }: Selection): readonly BenchCase[] {
  const offered = quick ? cases.filter((candidate) => candidate.quick === true) : cases;
  const unknown = only.filter((name) => !offered.some((candidate) => isMeant(candidate, name)));
  if (unknown.length > 0) {
    const names = offered.map(({ name }) => name).join('\n  ');
    const groups = [...new Set(offered.map(({ group }) => group))].join(', ');
    throw new Error(
      `no ${quick ? 'quick case' : 'case'} ${unknown.join(', ')}; there are:\n  ${names}\ngroups: ${groups}`,
    );
  }
  return offered.filter((candidate) => only.length === 0 || only.some((name) => isMeant(candidate, name)));
}

function isMeant(candidate: BenchCase, name: string): boolean {
  return candidate.name === name || candidate.group === name;
}
