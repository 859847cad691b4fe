/** Kills a service hundreds of times while clients use it: `npm run torture -- --rounds 300 --engine sqlite --seed 7`. */
import { parseArgs } from 'node:util';
import { checkOutProgram } from './earlier-program.ts';
import type { Engine } from './engines.ts';
import { postgresEngine, sqliteEngine } from './engines.ts';
import { bucketStaging, directoryStaging } from './staging.ts';
import { torture } from './torture.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    engine: { type: 'string', default: 'sqlite' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    clients: { type: 'string', default: '4' },
    /** Between a start and the kill that follows, in times of a start. */
    'longest-life': { type: 'string', default: '1' },
    staging: { type: 'string', default: 'directory' },
    /** A git revision: the service is upgraded from its program to this one meanwhile. */
    'upgrade-from': { type: 'string' },
    /** PostgreSQL stays. */
    'spare-database': { type: 'boolean', default: false },
  },
});
const ENGINES: Readonly<Record<string, Engine>> = {
  sqlite: sqliteEngine,
  postgres: postgresEngine(values['spare-database'] ? 'spared' : 'killed too'),
};
const engine = ENGINES[values.engine];
if (engine === undefined) throw new Error(`--engine: ${Object.keys(ENGINES).join(' or ')}`);
const staging = values.staging === 's3' ? bucketStaging() : directoryStaging();
if (!['directory', 's3'].includes(values.staging)) throw new Error('--staging: directory or s3');
const log = (line: string): void => void process.stdout.write(`${line}\n`);
const revision = values['upgrade-from'];
const earlier = revision === undefined ? undefined : await checkOutProgram(revision);
const upgrade = revision === undefined ? '' : `, upgraded from ${revision}`;
log(`seed ${values.seed}, engine ${values.engine}, staging ${values.staging}${upgrade}`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
try {
  const report = await torture({
    seed: Number(values.seed),
    rounds: Number(values.rounds),
    clients: Number(values.clients),
    engine,
    staging,
    longestLife: Number(values['longest-life']),
    ...(earlier === undefined ? {} : { earlier: earlier.program }),
    log,
  });
  log(JSON.stringify(report, undefined, 2));
  process.exitCode = report.violations.length === 0 ? 0 : 1;
} finally {
  await earlier?.remove();
}
