import { CatalogError } from './errors.ts';
import type { ImageRecord, ImageStatus } from './image.ts';
import { formAt, IMPORT_TASK_PROPERTY } from './image.ts';

/** The most that one project may have; undefined: any number. */
export interface ProjectLimits {
  readonly images: number | undefined;
  /** Images that are being brought in at the same time. */
  readonly uploading: number | undefined;
  /** Bytes in stores, counted once for each place. */
  readonly storedBytes: number | undefined;
  /** Bytes that wait for their import. */
  readonly stagedBytes: number | undefined;
}

/** What one project has, with what was promised to images that are being brought in. */
export interface ProjectUse {
  readonly images: number;
  readonly uploading: number;
  readonly storedBytes: number;
  readonly stagedBytes: number;
}

/** Bytes that were promised to one image. */
export type Promised = Pick<ProjectUse, 'storedBytes' | 'stagedBytes'>;

/** Bytes that an image wants to be promised. */
export interface PromiseWish {
  readonly kind: keyof Promised;
  /** In all, with what was promised before. */
  readonly atLeast: number;
  /** As much as this is promised where the limit allows it. */
  readonly wished: number;
}

/** No limits at all. */
export const UNLIMITED: ProjectLimits = {
  images: undefined,
  uploading: undefined,
  storedBytes: undefined,
  stagedBytes: undefined,
};

/** Says what projects may have. */
export interface LimitSource {
  of(project: string | null): Promise<ProjectLimits>;
}

/** Limits that are the same for every project, but for some. */
export interface SettledLimits {
  readonly general: ProjectLimits;
  readonly overrides: ReadonlyMap<string, ProjectLimits>;
}

/** Limits that do not change. */
export function projectLimits({ general, overrides }: SettledLimits): LimitSource {
  return { of: async (project) => overrides.get(project ?? '') ?? general };
}

/** How each limit is called by operators, and in what it is counted. */
const LIMIT_NAMES: Readonly<Record<keyof ProjectUse, { readonly name: string; readonly unit: string }>> = {
  images: { name: 'image_count_total', unit: 'images' },
  uploading: { name: 'image_count_uploading', unit: 'images' },
  storedBytes: { name: 'image_size_total', unit: 'bytes' },
  stagedBytes: { name: 'image_stage_total', unit: 'bytes' },
};

/** Throws `over_quota` when there would be more of something than the limits allow. What does not grow is never refused. */
export function refuseOverLimits(limits: ProjectLimits, use: ProjectUse, more: Partial<ProjectUse>): void {
  for (const key of Object.keys(LIMIT_NAMES) as (keyof ProjectUse)[]) {
    const [limit, growth] = [limits[key], more[key] ?? 0];
    if (limit === undefined || growth <= 0 || use[key] + growth <= limit) continue;
    const { name, unit } = LIMIT_NAMES[key];
    throw new CatalogError(
      'over_quota',
      `${name} is limited to ${limit} ${unit}: the project has ${use[key]}, and ${growth} more would be too many`,
    );
  }
}

const FILLING: ReadonlySet<ImageStatus> = new Set(['saving', 'uploading', 'importing']);

/** The image is being brought in, or a task is at work on it. */
export function isFilling({ status, properties }: Pick<ImageRecord, 'status' | 'properties'>): boolean {
  return FILLING.has(status) || (status !== 'deleted' && IMPORT_TASK_PROPERTY in properties);
}

/** The bytes of an image in all its places. */
export function bytesInStores(image: ImageRecord): number {
  if (image.status === 'deleted') return 0;
  return image.locations.reduce((sum, place) => sum + (formAt(image, place).size ?? 0), 0);
}
