import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requirePackage } from '../../../fixtures/peers.ts';
import { identityHttp } from '../src/auth/keystone/identity-http.ts';

let directory: string;
let certificate: string;
let server: Server;
let url: string;

beforeAll(async () => {
  const openssl = await requirePackage('openssl', 'openssl');
  directory = await mkdtemp(join(tmpdir(), 'diskmorph-certificate-'));
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  await promisify(execFile)(openssl, ['req', '-x509', ...kind, '-keyout', key, '-out', cert, ...subject]);
  certificate = await readFile(cert, 'utf8');
  server = createServer({ key: await readFile(key), cert: certificate }, (_, response) => response.end('{}'));
  server.listen(0, 'localhost');
  await once(server, 'listening');
  url = `https://localhost:${(server.address() as AddressInfo).port}/v3`;
});
afterAll(async () => {
  server?.closeAllConnections();
  server?.close();
  await rm(directory, { recursive: true });
});

test.each([
  ['is not believed when nobody vouches for it', 'none', true, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ['is believed when cafile has it', 'own', true, 200],
  ['is believed, whoever it is of, when that is said', 'none', false, 200],
] as const)("Keystone's certificate %s", async (_, ca, verifyCertificates, expected) => {
  const settings = {
    ca: ca === 'own' ? certificate : undefined,
    verifyCertificates,
    requestTimeoutMs: 20_000,
    retries: 0,
  };
  const http = identityHttp(settings, async () => {});
  try {
    const outcome = await http.call({ method: 'GET', url, headers: {} }).then(
      (answer) => answer.status,
      (error: unknown) => String(error).replace(/^.*: /, ''),
    );
    expect(outcome).toBe(expected);
  } finally {
    http.close();
  }
});
