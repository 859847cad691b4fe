import type { LimitSource } from '../catalog/quota.ts';
import type { Catalog, ImageRepo } from '../catalog/repositories.ts';
import type { Download } from '../staging/download.ts';
import type { RemoteImages } from '../remotes/remote-images.ts';
import type { Staging } from '../staging/staging.ts';
import type { ImageStore } from '../store/store.ts';
import type { ImageTools } from './image-tools.ts';
import type { StagedData } from './staged/staged-data.ts';

/** What the configuration says about imports. */
export interface ImportSettings {
  readonly diskFormats: readonly string[];
  readonly containerFormats: readonly string[];
  readonly vmdkAllowedTypes: readonly string[];
  readonly requireFormatMatch: boolean;
  /** Bytes. */
  readonly maxImageSize: number;
  /** Bytes. */
  readonly maxVirtualSize: number;
  /** For tasks of the type `import`; undefined: not converted, with a warning. */
  readonly conversionFormat: string | undefined;
  /** For tasks of the type `api_image_import`; undefined: not converted. */
  readonly outputFormat: string | undefined;
  /** How results of each format are made. */
  readonly targetOptions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Formats that stores want instead, by store. */
  readonly storeFormats: Readonly<Record<string, string>>;
  readonly defaultStore: string;
  /** Milliseconds for which a task is kept after its end. */
  readonly taskTimeToLiveMs: number;
}

/** Everything that the stages use. */
export interface ImportParts<Transaction = unknown> {
  readonly catalog: Catalog<Transaction>;
  /** What projects may have; the catalogue refuses more. */
  readonly projectLimits: LimitSource;
  readonly staging: Staging;
  readonly uploads: StagedData;
  readonly download: Download;
  /** Other image services. */
  readonly remotes: RemoteImages;
  readonly stores: ReadonlyMap<string, ImageStore>;
  readonly tools: ImageTools;
  readonly settings: ImportSettings;
  /** Is it the database that cannot be reached now? Never when absent. */
  readonly isOutage?: (error: unknown) => boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Warns operators. */
  readonly log: (message: string) => void;
}

/** Which task a stage works for. */
export interface StageOf {
  readonly taskId: string;
  readonly taskType: string;
  readonly imageRepo: ImageRepo;
}

/** The name of a stage's task: `import-Convert-<task id>`. */
export function stageName(stage: string, { taskId, taskType }: StageOf): string {
  return `${taskType}-${stage}-${taskId}`;
}

/** The report function of a step for one phase. */
export function inPhase(
  phase: string,
  report: (progress: { phase: string; doneBytes: number; totalBytes: number }) => void,
): (done: number, total: number) => void {
  return (doneBytes, totalBytes) => report({ phase, doneBytes, totalBytes });
}
