/** Is what a program did right? The peer judges, not we. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { runCommand } from '../fixtures/command.ts';
import type { Task } from './cases.ts';
import type { Places } from './contenders.ts';

/** What a run left behind. */
export interface Outcome {
  readonly task: Task;
  readonly places: Places;
  /** What the program printed. */
  readonly output: string;
  /** What the peer printed for the same task; its own output for the peer itself. */
  readonly peerOutput: string;
}

/** Formats whose tables `qemu-img check` walks. */
const CHECKED_FORMATS = new Set(['qcow2', 'vmdk', 'vhdx', 'vdi']);

/**
 * An image is compared with its source by `qemu-img compare`, and walked by `qemu-img check` where it can; a checksum must be the file's;
 * other output must be the peer's. Throws an Error that says what is wrong.
 */
export async function checkOutcome(outcome: Outcome, qemuImg: string): Promise<void> {
  const { task, places } = outcome;
  switch (task.kind) {
    case 'convert':
      return checkImage(qemuImg, { ...places, sourceFormat: task.source.format, targetFormat: task.targetFormat });
    case 'convert-and-hash':
      await checkImage(qemuImg, { ...places, sourceFormat: task.source.format, targetFormat: 'raw' });
      return checkChecksum(places.target, outcome.output);
    case 'compare':
    case 'info':
      if (outcome.output === outcome.peerOutput) return;
      throw new Error(`not what qemu-img printed:\n${outcome.output}\nqemu-img:\n${outcome.peerOutput}`);
  }
}

interface WrittenImage {
  readonly source: string;
  readonly sourceFormat: string;
  readonly target: string;
  readonly targetFormat: string;
}

async function checkImage(qemuImg: string, image: WrittenImage): Promise<void> {
  const { source, sourceFormat, target, targetFormat } = image;
  await runCommand(qemuImg, ['compare', '-f', sourceFormat, '-F', targetFormat, source, target]);
  if (CHECKED_FORMATS.has(targetFormat)) await runCommand(qemuImg, ['check', '-q', '-f', targetFormat, target]);
}

/** The output must hold the SHA-512 of the file. */
async function checkChecksum(path: string, output: string): Promise<void> {
  const hash = createHash('sha512');
  await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), hash);
  if (output.includes(hash.digest('hex'))) return;
  throw new Error(`what was printed is no SHA-512 of the result:\n${output}`);
}
