/**
 * Puts the figures of a run into docs/performance.md, with its plots: `node bench/publish.ts [bench/results/X.json]`,
 * by default of the newest full run.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { figuresText, withFigures } from './figures-text.ts';
import { ratioChart } from './ratio-chart.ts';
import { newestFullResult, readResult } from './result-file.ts';
import { scalingChart } from './scaling-chart.ts';

const DOCS = join(import.meta.dirname, '..', 'docs');

const path = process.argv[2] ?? (await newestFullResult());
const run = await readResult(path);
const page = join(DOCS, 'performance.md');
await writeFile(page, withFigures(await readFile(page, 'utf8'), figuresText(run, basename(path, '.json'))));
await writeFile(join(DOCS, 'performance-ratios.svg'), ratioChart(run));
await writeFile(join(DOCS, 'performance-scaling.svg'), scalingChart(run));
console.log(`docs/performance.md now shows ${basename(path)}`);
