// Starts a program on a Node that can run it. Plain JavaScript that every Node since 20 understands.
import { existsSync, realpathSync } from 'node:fs';
import module from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const NEEDED_MAJOR = 26;
/** Says that this process was started by another run of this file, so that it never starts a third. */
const RELAUNCHED = 'DISKMORPH_RELAUNCHED';
const SOURCE_CONDITION = '--conditions=source';
const FORWARDED_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

const packageFolder = dirname(dirname(realpathSync(fileURLToPath(import.meta.url))));
const fromSource = existsSync(join(packageFolder, 'src')) && !existsSync(join(packageFolder, 'dist'));
const nodeIsNewEnough = Number(process.versions.node.split('.')[0]) >= NEEDED_MAJOR;
const seesSource = !fromSource || process.execArgv.includes(SOURCE_CONDITION);

/**
 * Runs `program`: its `script` in this folder started this process, its `entry` below `src` (or `dist`) exports the
 * function `run`, which gets the arguments. `bundle` below `dist/bundle` is the same in few files, where it has been made.
 */
export async function launch(program) {
  if (nodeIsNewEnough && seesSource) await runHere(program);
  else if (process.env[RELAUNCHED] !== undefined) refuse(program);
  else await relaunch(program);
}

async function runHere({ entry, bundle, run }) {
  if (process.env[RELAUNCHED] === 'watched') dieWithParent();
  delete process.env[RELAUNCHED];
  const packed = join(packageFolder, 'dist', 'bundle', `${bundle}.js`);
  const built = existsSync(packed) ? packed : join(packageFolder, 'dist', `${entry}.js`);
  const main = fromSource ? join(packageFolder, 'src', `${entry}.ts`) : built;
  if (!fromSource) keepCompiledCode();
  const program = await import(pathToFileURL(main).href);
  await program[run](process.argv.slice(2));
}

/** What Node compiles is kept beside the program, where its owner runs it; others use what is there. Threads learn of it from the environment. */
function keepCompiledCode() {
  if (process.env.NODE_COMPILE_CACHE !== undefined) return;
  const folder = join(packageFolder, 'dist', 'compiled');
  module.enableCompileCache?.(folder);
  process.env.NODE_COMPILE_CACHE = folder;
}

/** The channel to the parent breaks when the parent dies by a signal that it cannot forward. */
function dieWithParent() {
  if (process.channel === undefined || process.channel === null) return;
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  process.channel.unref();
}

async function relaunch(program) {
  const node = nodeIsNewEnough ? process.execPath : findWorkspaceNode();
  if (node === undefined) return refuse(program);
  const script = realpathSync(process.argv[1]);
  const args = [...(fromSource ? [SOURCE_CONDITION] : []), script, ...process.argv.slice(2)];
  const env = { ...process.env, ...(fromSource ? sourceCache() : {}) };
  if (process.platform !== 'win32' && typeof process.execve === 'function') {
    process.emitWarning = () => {};
    process.execve(node, [node, ...args], { ...env, [RELAUNCHED]: 'replaced' });
  }
  await superviseChild(program, [node, ...args], { ...env, [RELAUNCHED]: 'watched' });
}

/** The nearest `node_modules/.bin/node`, which `npm ci` brings. */
function findWorkspaceNode() {
  for (let folder = packageFolder; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', '.bin', 'node');
    if (existsSync(candidate)) return candidate;
    if (folder === dirname(folder)) return undefined;
  }
}

/** Stripping the types of every source file takes most of the start-up time; its result is kept beside the packages. */
function sourceCache() {
  if (process.env.NODE_COMPILE_CACHE !== undefined) return {};
  const modules = join(dirname(dirname(packageFolder)), 'node_modules');
  return existsSync(modules) ? { NODE_COMPILE_CACHE: join(modules, '.cache', 'diskmorph') } : {};
}

/** Runs the child as if it were this process: same terminal, signals passed on, same end. */
async function superviseChild({ name }, [node, ...args], env) {
  const { spawn } = await import('node:child_process');
  const child = spawn(node, args, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'], env });
  const forward = (signal) => child.kill(signal);
  for (const signal of FORWARDED_SIGNALS) process.on(signal, forward);
  child.on('error', (error) => {
    process.stderr.write(`${name}: cannot start ${node}: ${error.message}\n`);
    process.exitCode = 70;
  });
  child.on('exit', (code, signal) => {
    for (const forwarded of FORWARDED_SIGNALS) process.off(forwarded, forward);
    if (signal === null) process.exitCode = code;
    else process.kill(process.pid, signal);
  });
}

function refuse({ name }) {
  process.stderr.write(
    `${name}: needs Node ${NEEDED_MAJOR} or newer, and this is Node ${process.versions.node}.\n` +
      `  what to do: run "npm ci" in the folder of diskmorph, which brings a fitting Node, or install Node ${NEEDED_MAJOR}.\n`,
  );
  process.exitCode = 70;
}
