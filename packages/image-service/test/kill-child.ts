/**
 * A process of its own that imports a file, or resumes what is there, and kills itself with SIGKILL where it is told to:
 * the arguments are one JSON text of `ChildOrder`. Without a kill it prints the tasks as JSON at the end.
 */
import type { RawParts } from '../src/main.ts';
import { openImageService } from '../src/main.ts';
import type { Faults } from './faults.ts';
import { faultyParts, gatedParts } from './faults.ts';
import { doom } from './doom.ts';

/** What the process is to do. */
export interface ChildOrder {
  readonly configFile: string;
  readonly work: 'import' | 'resume';
  readonly file: string;
  readonly faults: Faults;
  /** `operation`: before or after the nth operation. `phase`: at a report of progress. `save`: inside the nth transaction's first save. */
  readonly kill?:
    | { readonly operation: number }
    | { readonly phase: string; readonly percent: number }
    | { readonly save: number };
}

const order = JSON.parse(process.argv[2] ?? '') as ChildOrder;
const { kill } = order;

function die(): void {
  process.kill(process.pid, 'SIGKILL');
}

/** The catalogue with a death inside a transaction, after it has written. */
function dyingInSave(parts: RawParts, nth: number): RawParts {
  let saves = 0;
  const { catalog } = parts;
  return {
    ...parts,
    catalog: {
      ...catalog,
      transaction: (work) =>
        catalog.transaction((inside) =>
          work({
            ...inside,
            images: {
              ...inside.images,
              async save(image, changes) {
                const saved = await inside.images.save(image, changes);
                saves += 1;
                if (saves === nth) die();
                return saved;
              },
            },
          }),
        ),
    },
  };
}

const service = await openImageService({
  configFiles: [order.configFile],
  environment: {},
  overrides: { 'taskflow_executor.conversion_format': 'qcow2' },
  intercept(parts) {
    const faulty = faultyParts(parts, order.faults);
    if (kill !== undefined && 'operation' in kill) return gatedParts(faulty, doom(kill.operation, die));
    return kill !== undefined && 'save' in kill ? dyingInSave(faulty, kill.save) : faulty;
  },
});
const onProgress = ({
  progress,
}: {
  readonly progress: { readonly phase: string; readonly percent: number | null };
}): void => {
  if (kill === undefined || !('phase' in kill) || progress.phase !== kill.phase) return;
  if ((progress.percent ?? 0) >= kill.percent) die();
};
if (order.work === 'resume') await service.resume({ onProgress });
else await service.import(order.file, { diskFormat: 'raw', stores: ['a', 'b'], onProgress }).catch(() => {});
process.stdout.write(JSON.stringify(await service.tasks()));
await service.close();
