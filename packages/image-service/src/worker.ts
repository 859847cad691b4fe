import { openConfiguration } from './configured.ts';
import type { Configuration } from './config/load.ts';
import { ConfigurationError } from './config/problem.ts';
import { healthOf, gaugesOf } from './health.ts';
import { imageRoads } from './image-roads.ts';
import type { ImportProgress } from './import/service.ts';
import { stageOf } from './import/service.ts';
import type { OpenOptions } from './main.ts';
import { openWholeService } from './main.ts';
import { observer } from './observed.ts';
import type { ServeOptions } from './server.ts';
import { listenForWatchers, watchOptions } from './server.ts';
import type { OpenedWatch } from './watch.ts';
import { openWatch } from './watch.ts';

/** How to run tasks without serving the API. */
export interface WorkerOptions extends OpenOptions, Pick<ServeOptions, 'version' | 'logging'> {
  /** Hears of the tasks that this process and others run. */
  readonly onProgress?: (progress: ImportProgress) => void;
}

/** A process that runs tasks. */
export interface Worker {
  /** Takes no more tasks, and returns when those that run have ended or the signal fires. */
  finish(signal?: AbortSignal): Promise<void>;
  /** Hands over what still runs, and closes everything. */
  close(): Promise<void>;
}

/**
 * Opens the service and runs the tasks that other processes ask for. Throws `ConfigurationError`, also where there are no
 * other processes, because the database is a file; and as `openImageService`.
 */
export async function openWorker(options: WorkerOptions): Promise<Worker> {
  const configuration = await openConfiguration(options);
  requireSharedDatabase(configuration);
  const watch = await openWatch(configuration, watchOptions(options));
  try {
    return await runWatched(options, configuration, watch);
  } catch (error) {
    await watch.close();
    throw error;
  }
}

function requireSharedDatabase({ database }: Configuration): void {
  if (database.kind === 'postgres') return;
  throw new ConfigurationError([
    {
      section: 'database',
      option: 'connection',
      message: 'must be postgres://...: with SQLite "diskmorph serve" runs the tasks itself, and no other process can',
    },
  ]);
}

async function runWatched(options: WorkerOptions, configuration: Configuration, watch: OpenedWatch): Promise<Worker> {
  const log = (message: string, error?: unknown): void => {
    watch.line(message, error);
    options.log?.(message, error);
  };
  const whole = await openWholeService({
    ...options,
    role: 'runs tasks',
    configuration,
    log,
    observer: observer(watch),
  });
  const { engine, service, parts, journal } = whole;
  const opened: { close(): Promise<unknown> }[] = [];
  const closeAll = async (): Promise<void> => {
    for (const each of opened) await each.close();
    await service.close();
  };
  try {
    const { onProgress } = options;
    if (onProgress !== undefined) {
      engine.onProgress((taskId, progress) => onProgress({ taskId, stage: stageOf(progress.step, taskId), progress }));
    }
    const watched = { ...parts, configuration, now: () => performance.now() };
    const health = healthOf(watched);
    watch.figures.look(() => gaugesOf(watched, journal));
    await engine.start();
    opened.push({ close: imageRoads(whole).startRemoval() });
    const { metrics } = configuration.operators;
    if (metrics !== undefined) opened.push(await listenForWatchers(metrics, { watch, health }));
    watch.log.info(`running tasks as diskmorph ${options.version}`, {});
    return {
      finish: (signal) => engine.finish(signal),
      async close() {
        watch.log.info('stopping: tasks are handed over');
        await closeAll();
        watch.log.info('stopped');
        await watch.close();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
