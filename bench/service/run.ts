/** `npm run bench:service`: ours beside Debian's Glance, on the same machine in the same minutes; see ../README.md. */
import { mkdir, mkdtemp, rm, writeFile, readFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { runCommand } from '../../fixtures/command.ts';
import { requireDiskFixture } from '../../fixtures/disk-fixture.ts';
import { requireQemuImg } from '../../fixtures/peers.ts';
import { currentLoad } from '../machine.ts';
import type { Material, Measured, ServiceCase } from './cases.ts';
import { fillCatalogue, serviceCases, writeUploadFile } from './cases.ts';
import type { Program, RunningService } from './contender.ts';
import { startService } from './contender.ts';
import { diskmorph, glance } from './programs.ts';
import type { ServiceResult } from './report.ts';
import { reportText, withServiceFigures } from './report.ts';

const GIB = 2 ** 30;
const IMAGES = 1000;
const USAGE = 'npm run bench:service -- [--rounds N] [--only CASE,...]';
/** `--rounds N`: how often each case is measured. `--only CASE,...`: these alone, and nothing is kept of them. */
const { rounds: ROUNDS, only: ONLY } = settings();
const RESULTS = join(import.meta.dirname, '..', 'results', 'service');
const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'performance.md');

async function main(): Promise<void> {
  const startedAt = new Date().toISOString();
  const loadAtStart = currentLoad();
  say('making the disk, building the program');
  const fixture = await requireDiskFixture({ sizeBytes: 4 * GIB, source: 'usr', variants: ['qcow2-zlib'] });
  const work = await mkdtemp(join(fixture.folder, '..', 'bench-service-'));
  try {
    const programs = [await glance(work), await diskmorph(work)] as const;
    const material = await makeMaterial(work, fixture);
    const starts = await measureStarts(programs);
    const cases = await measureCases(programs, material);
    const result: ServiceResult = {
      version: 1,
      startedAt,
      loadAtStart,
      loadAtEnd: currentLoad(),
      machine: await machineText(),
      disk: `${(fixture.manifest.allocatedBytes / GIB).toFixed(2)} GiB of data in a disk of 4 GiB`,
      starts,
      cases,
    };
    if (ONLY.length === 0) await keep(result);
    console.log(reportText(result));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function makeMaterial(work: string, fixture: Awaited<ReturnType<typeof requireDiskFixture>>): Promise<Material> {
  const uploadFile = join(work, 'upload.raw');
  const uploadSha512 = await writeUploadFile(uploadFile, GIB);
  return {
    images: IMAGES,
    uploadFile,
    uploadSha512,
    qcow2: fixture.path('qcow2-zlib'),
    rawDisk: fixture.path('raw'),
    qemuImg: await requireQemuImg(),
  };
}

/** The first start of each, which makes its database, is not counted. */
async function measureStarts(programs: readonly Program[]): Promise<ServiceResult['starts']> {
  const starts: Record<string, Measured[]> = {};
  for (let round = 0; round <= ROUNDS; round++) {
    for (const program of programs) {
      const service = await startService(program);
      const { startSeconds: seconds, startCpuSeconds: cpuSeconds } = service;
      await delay(500);
      if (round > 0) (starts[program.name] ??= []).push({ seconds, cpuSeconds, peakMib: service.watch.takePeakMib() });
      await service.stop();
    }
  }
  return starts;
}

/** Both run all the time, and take turns: what slows the machine down for a while slows both. */
async function measureCases(programs: readonly Program[], material: Material): Promise<ServiceResult['cases']> {
  const services: RunningService[] = [];
  try {
    for (const program of programs) services.push(await startService(program));
    say(`registering ${IMAGES} images in each`);
    for (const service of services) await fillCatalogue(service, IMAGES);
    const results = [];
    for (const each of chosenCases(material)) results.push(await measureCase(each, services));
    return results;
  } finally {
    for (const service of services) await service.stop();
  }
}

async function measureCase(
  { name, title, run }: ServiceCase,
  services: readonly RunningService[],
): Promise<ServiceResult['cases'][number]> {
  const figures: Record<string, Measured[]> = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const service of services) {
      await runCommand('sync', []);
      const measured = await run(service);
      (figures[service.program.name] ??= []).push(measured);
      say(`${name}, ${service.program.name}: ${JSON.stringify(measured)}`);
    }
  }
  return { name, title, figures };
}

async function machineText(): Promise<string> {
  const [processor] = cpus();
  const version = await runCommand('dpkg-query', ['--show', '--showformat=${Version}', 'glance-api']);
  const commit = (await runCommand('git', ['rev-parse', '--short', 'HEAD'])).trim();
  return `${processor?.model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / GIB)} GiB of memory, Node ${process.version}; Glance ${version} of Debian; commit ${commit}`;
}

async function keep(result: ServiceResult): Promise<void> {
  const name = result.startedAt.slice(0, 'YYYY-MM-DDTHH:MM:SS'.length).replaceAll(':', '-');
  await mkdir(RESULTS, { recursive: true });
  await writeFile(join(RESULTS, `${name}.json`), `${JSON.stringify(result, undefined, 1)}\n`);
  await writeFile(join(RESULTS, `${name}.md`), `# Image services, side by side\n\n${reportText(result)}\n`);
  const page = await readFile(PAGE, 'utf8');
  await writeFile(
    PAGE,
    withServiceFigures(page, `[The run](../bench/results/service/${name}.json).\n\n${reportText(result)}`),
  );
}

/** Throws an Error where there is no such case. */
function chosenCases(material: Material): readonly ServiceCase[] {
  const all = serviceCases(material);
  const unknown = ONLY.filter((name) => !all.some((each) => each.name === name));
  if (unknown.length > 0) throw new Error(`no case ${unknown.join(', ')}: ${all.map(({ name }) => name).join(', ')}`);
  return all.filter(({ name }) => ONLY.length === 0 || ONLY.includes(name));
}

function settings(): { readonly rounds: number; readonly only: readonly string[] } {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' }, only: { type: 'string' } } });
  const rounds = Number(values.rounds);
  if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error(USAGE);
  return { rounds, only: values.only?.split(',') ?? [] };
}

function say(text: string): void {
  console.error(text);
}

await main();
