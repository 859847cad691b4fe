/** What a run was made on. Nothing here names the machine or its owner. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { cpus, loadavg, release, tmpdir, totalmem, type } from 'node:os';
import { basename, join } from 'node:path';
import { runCommand } from '../fixtures/command.ts';
import type { Programs } from './contenders.ts';

/** The machine's description. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  /** Of the folder that is written to. */
  readonly fileSystem: string;
  readonly node: string;
  /** First line of `qemu-img --version`. */
  readonly peer: string;
  /** The system's libraries that our program loads to compress and decompress; none: Node's own code. */
  readonly codecs: readonly string[];
  /** Processes that wanted to run in the minute before the start: above 0.5 the machine was not quiet. */
  readonly loadAtStart: number;
}

/** Libraries that compress. */
const CODEC_LIBRARY = /^lib(deflate|zstd|isal|z|z-ng|lzma|bz2)\.so/;

/** How busy the machine is with other things; to be asked before anything is built. */
export function currentLoad(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100;
}

/** Describes this machine; `workFolder` is where the results are written. */
export async function describeMachine(programs: Programs, workFolder: string): Promise<Omit<Machine, 'loadAtStart'>> {
  const [processor] = cpus();
  const versions = await runCommand(programs.qemuImg, ['--version']);
  return {
    processor: processor?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    fileSystem: await fileSystemOf(workFolder),
    node: process.version,
    peer: versions.split('\n')[0] ?? '',
    codecs: await codecsInUse(programs.dropIn),
  };
}

async function fileSystemOf(folder: string): Promise<string> {
  const lines = await runCommand('df', ['--output=fstype', folder]);
  return lines.trim().split('\n').at(-1) ?? 'unknown';
}

/** Asks the dynamic linker which libraries the program loads when it compresses by each method. Empty where there is no such linker. */
async function codecsInUse(dropIn: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'diskmorph-bench-'));
  const sample = join(import.meta.dirname, '..', 'fixtures', 'sample.qcow2');
  try {
    const names = new Set<string>();
    for (const method of ['zlib', 'zstd']) {
      const options = ['-c', '-O', 'qcow2', '-o', `compression_type=${method}`, sample, join(folder, method)];
      const trace = join(folder, `${method}.trace`);
      await runCommand(dropIn, ['convert', ...options], {
        env: { LD_DEBUG: 'files', LD_DEBUG_OUTPUT: trace },
      });
      for (const name of await tracedLibraries(folder, `${method}.trace.`)) names.add(name);
    }
    return [...names].sort();
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function tracedLibraries(folder: string, prefix: string): Promise<string[]> {
  const traces = (await readdir(folder)).filter((name) => name.startsWith(prefix));
  const texts = await Promise.all(traces.map((name) => readFile(join(folder, name), 'utf8')));
  return texts.flatMap(loadedCodecs);
}

/** The names of the codec libraries in a trace of the dynamic linker. */
export function loadedCodecs(trace: string): string[] {
  const paths = [...trace.matchAll(/calling init: (\S+)/g)].map((match) => match[1] ?? '');
  return paths.map((path) => basename(path)).filter((name) => CODEC_LIBRARY.test(name));
}
