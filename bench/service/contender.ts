/** An image service that is measured: started, asked, watched, ended. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { statusOf } from './calls.ts';
import type { TreeWatch } from './process-tree.ts';
import { watchTree } from './process-tree.ts';

/** What is started. */
export interface Program {
  /** `glance`, `diskmorph`. */
  readonly name: string;
  readonly command: string;
  readonly arguments: readonly string[];
  readonly url: string;
  /** Everything that it keeps lies below. */
  readonly folder: string;
  /** The directory of its store. */
  readonly storeFolder: string;
}

/** A service that answers. */
export interface RunningService {
  readonly program: Program;
  readonly url: string;
  /** Seconds from its start until the list of images was answered. */
  readonly startSeconds: number;
  /** Processor time that the start took. */
  readonly startCpuSeconds: number;
  readonly watch: TreeWatch;
  stop(): Promise<void>;
}

const POLL_MS = 10;
const START_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 20_000;

/** Starts a service and waits until it lists images. Throws an Error with where its log is when it does not. */
export async function startService(program: Program): Promise<RunningService> {
  const log = await open(join(program.folder, 'service.log'), 'a');
  const began = performance.now();
  const env = { ...process.env, PATH: systemPath() };
  const child = spawn(program.command, program.arguments, { stdio: ['ignore', log.fd, log.fd], env });
  await log.close();
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${program.command} cannot be started`);
  const watch = watchTree(pid);
  while ((await statusOf(`${program.url}/v2/images`)) !== 200) {
    const gone = child.exitCode !== null || performance.now() - began > START_LIMIT_MS;
    if (gone) throw new Error(`${program.name} does not answer; its log is ${program.folder}/service.log`);
    await delay(POLL_MS);
  }
  const startSeconds = (performance.now() - began) / 1000;
  return {
    program,
    url: program.url,
    startSeconds,
    startCpuSeconds: watch.cpuSeconds(),
    watch,
    async stop() {
      watch.end();
      await stopChild(child);
    },
  };
}

/** npm puts this workspace's programs first: the peer must not convert with our `qemu-img`. */
function systemPath(): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.filter((folder) => !folder.includes('node_modules')).join(delimiter);
}

async function stopChild(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
  if (child.exitCode === null && child.signalCode === null) await exited;
  clearTimeout(timer);
}
