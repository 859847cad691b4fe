import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { expect } from 'vitest';

/** Runs a client, which must succeed, with a home directory of its own; gives what it prints. */
export async function runClient(program: string, parameters: readonly string[], home: string): Promise<string> {
  const { OS_AUTH_TYPE: _type, OS_ENDPOINT: _endpoint, ...env } = process.env;
  const child = spawn(program, parameters, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...env, HOME: home, LC_ALL: 'C.UTF-8' },
  });
  const [out, complaint, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  expect(code, `${parameters.join(' ')}\n${out}${complaint}`).toBe(0);
  return out;
}
