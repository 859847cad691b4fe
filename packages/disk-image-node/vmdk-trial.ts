import { convertFile, openImageFile, requireFormat } from './src/index.ts';
import * as api from './src/index.ts';
const [,, from, ff, to, tf, ...opts] = process.argv;
const options = Object.fromEntries(opts.map((o) => o.split('=')));
const before = process.cpuUsage(); const t = performance.now();
const report = await convertFile({ source: { path: from, format: ff, references: { directories: ['/tmp/tmp.Znt4dm3drM'] } } as never, target: { path: to, format: tf, options }, verify: false, digest: false, overwrite: true });
const cpu = process.cpuUsage(before);
console.log(ff, tf, JSON.stringify(options), `${((performance.now() - t) / 1000).toFixed(2)}s wall, ${((cpu.user + cpu.system) / 1e6).toFixed(2)}s cpu, ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`, report.targetSizeBytes);
