/**
 * Packs the programs and all they use into a few files: `node tools/bundle.ts [folder]`, after `npm run build`.
 * Services start them for every image, and hundreds of small modules cost more to load than the programs cost to run.
 */
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { build } from 'vite';

const ROOT = join(import.meta.dirname, '..');
const outDir = process.argv[2] ?? join(ROOT, 'packages', 'cli', 'dist', 'bundle');
/** Files that threads start from: they are found beside the file that starts them. */
const threads = Object.fromEntries(
  globSync('packages/*/src/**/*-worker.ts', { cwd: ROOT }).map((path) => [basename(path, '.ts'), join(ROOT, path)]),
);

await build({
  configFile: false,
  root: ROOT,
  logLevel: 'warn',
  resolve: { conditions: ['source'] },
  ssr: { noExternal: true, resolve: { conditions: ['source'] } },
  build: {
    ssr: true,
    target: 'node26',
    minify: false,
    outDir,
    emptyOutDir: true,
    rolldownOptions: {
      input: {
        diskmorph: join(ROOT, 'packages', 'cli', 'src', 'main.ts'),
        'qemu-img': join(ROOT, 'packages', 'cli', 'src', 'qemu-img', 'main.ts'),
        ...threads,
      },
      output: {
        entryFileNames: '[name].js',
        chunkFileNames: '[name]-[hash].js',
        minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
      },
    },
  },
});
