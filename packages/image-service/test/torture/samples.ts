import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { convertFile } from '@diskmorph/disk-image-node';
import type { Chance } from './chance.ts';

/** A file that clients give, and the guest's disk in it. */
export interface Sample {
  readonly name: string;
  readonly diskFormat: 'raw' | 'qcow2';
  readonly bytes: Buffer;
  /** Of the file. */
  readonly sha512: string;
  /** Of the guest's disk. */
  readonly guestSha512: string;
  readonly forms: readonly SampleForm[];
}

/** The disk as it can be asked for. */
export interface SampleForm {
  /** The query of the download. */
  readonly query: string;
  /** Of what comes then: made from a raw file, and from a qcow2 one. */
  readonly sha512: readonly string[];
}

/** The samples, and a server that gives them away under their names. */
export interface SampleShelf {
  readonly samples: readonly Sample[];
  readonly port: number;
  urlOf(sample: Sample): string;
  close(): void;
}

const MIB = 2 ** 20;
/** Sizes of the disks: imports of the largest last long enough to be killed anywhere. */
const DISK_SIZES: readonly number[] = [64 * 1024, MIB, 3 * MIB, 12 * MIB];

/** Always made anew, whatever is stored: what is in that format already would be given as it is. */
const MADE_FORMS: readonly { readonly format: string; readonly options: Readonly<Record<string, string>> }[] = [
  { format: 'qcow2', options: { cluster_size: '128k' } },
  { format: 'vhdx', options: { block_size: '1M' } },
];

/** Makes the samples in `dir`: disks with data and holes, raw and as qcow2. */
export async function openShelf(dir: string, chance: Chance): Promise<SampleShelf> {
  const samples: Sample[] = [];
  for (const [index, size] of DISK_SIZES.entries()) {
    const disk = diskOf(size, chance);
    const guestSha512 = sha512(disk);
    const raw = join(dir, `${index}.raw`);
    const path = join(dir, `${index}.qcow2`);
    await writeFile(raw, disk);
    await convertFile({ source: { path: raw, format: 'raw' }, target: { path, format: 'qcow2', options: {} } });
    const packed = await readFile(path);
    const forms = [{ query: 'format=raw', sha512: [guestSha512] }, ...(await madeForms({ raw, qcow2: path }))];
    const same = { guestSha512, forms };
    samples.push({ name: `${index}.raw`, diskFormat: 'raw', bytes: disk, sha512: guestSha512, ...same });
    samples.push({ name: `${index}.qcow2`, diskFormat: 'qcow2', bytes: packed, sha512: sha512(packed), ...same });
  }
  const web = await serveSamples(samples);
  const { port } = web.address() as AddressInfo;
  return {
    samples,
    port,
    urlOf: ({ name }) => `http://127.0.0.1:${port}/${name}`,
    close: () => web.close(),
  };
}

async function madeForms(files: Readonly<Record<string, string>>): Promise<readonly SampleForm[]> {
  const forms: SampleForm[] = [];
  for (const { format, options } of MADE_FORMS) {
    const digests: string[] = [];
    for (const [from, path] of Object.entries(files)) {
      const made = `${path}.made`;
      await convertFile({ source: { path, format: from }, target: { path: made, format, options } });
      digests.push(sha512(await readFile(made)));
      await rm(made);
    }
    const query = new URLSearchParams({ format, ...options }).toString();
    forms.push({ query, sha512: digests });
  }
  return forms;
}

/** Data, a hole, data: the first sector is no signature of anything. */
function diskOf(size: number, chance: Chance): Buffer {
  const disk = Buffer.alloc(size);
  const dataEnd = Math.ceil(size * 0.6);
  for (let at = 0; at < size; at += 4) {
    if (at < dataEnd || at > size * 0.8) disk.writeUInt32LE(chance.number(2 ** 32), at);
  }
  disk.fill(0x55, 0, 512);
  return disk;
}

async function serveSamples(samples: readonly Sample[]): Promise<Server> {
  const web = createServer((request, response) => {
    const sample = samples.find(({ name }) => request.url === `/${name}`);
    if (sample === undefined) return response.writeHead(404).end();
    return response.writeHead(200, { 'content-length': sample.bytes.length }).end(sample.bytes);
  });
  web.listen(0, '127.0.0.1');
  await once(web, 'listening');
  return web;
}

/** In hex. */
export function sha512(bytes: Uint8Array): string {
  return createHash('sha512').update(bytes).digest('hex');
}
