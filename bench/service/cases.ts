/** What is asked of both services, and how it is found out that the answer is right. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { runCommand } from '../../fixtures/command.ts';
import { spreadOf } from '../statistics.ts';
import {
  anyImage,
  createImage,
  deleteImage,
  download,
  downloadedSha512,
  get,
  importStaged,
  sendFile,
  showImage,
} from './calls.ts';
import type { RunningService } from './contender.ts';

/** Figures of one run of one case of one service. */
export interface Measured {
  readonly seconds: number;
  /** Of all processes of the service. */
  readonly cpuSeconds: number;
  readonly peakMib: number;
  /** Where many calls were made: the median of one at a time, in milliseconds, and how many a second at eight at a time. */
  readonly medianMs?: number;
  readonly callsPerSecond?: number;
}

/** One case. */
export interface ServiceCase {
  readonly name: string;
  readonly title: string;
  run(service: RunningService): Promise<Measured>;
}

/** What the cases use. */
export interface Material {
  readonly images: number;
  /** 1 GiB that cannot be compressed. */
  readonly uploadFile: string;
  readonly uploadSha512: string;
  /** A compressed qcow2 image, and the raw disk that it holds. */
  readonly qcow2: string;
  readonly rawDisk: string;
  readonly qemuImg: string;
}

const CALLS_ONE_AT_A_TIME = 30;
const LANES = 8;
const LANE_SECONDS = 3;

/** Times `work`, with the processor time and memory that the service needs for it. */
async function measure(service: RunningService, work: () => Promise<unknown>): Promise<Measured> {
  service.watch.takePeakMib();
  const cpuBefore = service.watch.cpuSeconds();
  const began = performance.now();
  await work();
  const seconds = (performance.now() - began) / 1000;
  return { seconds, cpuSeconds: service.watch.cpuSeconds() - cpuBefore, peakMib: service.watch.takePeakMib() };
}

/** Every case, in the order in which they are run. */
export function serviceCases(material: Material): readonly ServiceCase[] {
  return [
    manyCalls('list', `a list of ${material.images} images`, ({ url }) => `${url}/v2/images?limit=${material.images}`),
    manyCalls('show', 'one image', ({ url }, id) => `${url}/v2/images/${id}`),
    uploadCase(material),
    downloadCase(material),
    importCase(material),
  ];
}

function manyCalls(
  name: string,
  title: string,
  urlOf: (service: RunningService, anyId: string) => string,
): ServiceCase {
  return {
    name,
    title,
    async run(service) {
      const url = urlOf(service, await anyImage(service.url));
      await get(url);
      const times: number[] = [];
      for (let call = 0; call < CALLS_ONE_AT_A_TIME; call++) {
        const began = performance.now();
        await get(url);
        times.push(performance.now() - began);
      }
      let calls = 0;
      const measured = await measure(service, async () => {
        const end = performance.now() + LANE_SECONDS * 1000;
        const lane = async (): Promise<void> => {
          while (performance.now() < end) {
            await get(url);
            calls++;
          }
        };
        await Promise.all(Array.from({ length: LANES }, lane));
      });
      return {
        ...measured,
        // For one call, so that services that answer more often do not look as if they needed more.
        cpuSeconds: measured.cpuSeconds / calls,
        medianMs: spreadOf(times).median,
        callsPerSecond: calls / measured.seconds,
      };
    },
  };
}

function uploadCase({ uploadFile, uploadSha512 }: Material): ServiceCase {
  return {
    name: 'upload',
    title: 'an upload of 1 GiB',
    async run(service) {
      const id = await createImage(service.url, 'upload', 'raw');
      const measured = await measure(service, () => sendFile(service.url, id, { to: 'file', file: uploadFile }));
      const { status, os_hash_value: hash } = await showImage(service.url, id);
      if (status !== 'active' || hash !== uploadSha512) throw new Error(`${service.program.name}: a wrong upload`);
      await deleteImage(service.url, id);
      return measured;
    },
  };
}

function downloadCase({ uploadFile, uploadSha512 }: Material): ServiceCase {
  return {
    name: 'download',
    title: 'a download of 1 GiB',
    async run(service) {
      const id = await createImage(service.url, 'download', 'raw');
      await sendFile(service.url, id, { to: 'file', file: uploadFile });
      if ((await downloadedSha512(service.url, id)) !== uploadSha512) {
        throw new Error(`${service.program.name}: a wrong download`);
      }
      const measured = await measure(service, () => download(service.url, id));
      await deleteImage(service.url, id);
      return measured;
    },
  };
}

function importCase({ qcow2, rawDisk, qemuImg }: Material): ServiceCase {
  return {
    name: 'import',
    title: 'an import (glance-direct) of a compressed qcow2 image that becomes raw',
    async run(service) {
      const id = await createImage(service.url, 'import', 'qcow2');
      await sendFile(service.url, id, { to: 'stage', file: qcow2 });
      const measured = await measure(service, () => importStaged(service.url, id));
      const { disk_format: format } = await showImage(service.url, id);
      if (format !== 'raw') throw new Error(`${service.program.name}: the image became ${String(format)}`);
      const stored = await storedFile(service.program.storeFolder, id);
      await runCommand(qemuImg, ['compare', '-f', 'raw', '-F', 'raw', stored, rawDisk]);
      await deleteImage(service.url, id);
      return measured;
    },
  };
}

async function storedFile(folder: string, imageId: string): Promise<string> {
  const name = (await readdir(folder, { recursive: true })).find((each) => each.includes(imageId));
  if (name === undefined) throw new Error(`nothing is stored of the image ${imageId}`);
  return join(folder, name);
}

/** Registers so many images without data. */
export async function fillCatalogue(service: RunningService, images: number): Promise<void> {
  for (let index = 0; index < images; index++) await createImage(service.url, `image ${index}`, 'raw');
}

/** Writes a file of bytes that look random, the same each time; gives its SHA-512. */
export async function writeUploadFile(path: string, sizeBytes: number): Promise<string> {
  const piece = 2 ** 20;
  const file = await open(path, 'w');
  try {
    for (let offset = 0; offset < sizeBytes; offset += piece) {
      const seed = createHash('sha512').update(String(offset)).digest();
      const bytes = Buffer.alloc(piece);
      // A counter in every 64 bytes keeps pieces from being the same over and over.
      for (let at = 0; at < piece; at += 64) {
        seed.copy(bytes, at);
        bytes.writeUInt32LE((offset / 64 + at / 64) >>> 0, at);
      }
      await file.write(bytes);
    }
  } finally {
    await file.close();
  }
  const hash = createHash('sha512');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
