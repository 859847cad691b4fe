import type { ImageStatus, Visibility } from './image.ts';
import type { MemberStatus } from './member.ts';

/** The fields that images can be filtered by, beside tags and properties. */
export type FilterField =
  | 'id'
  | 'name'
  | 'status'
  | 'owner'
  | 'diskFormat'
  | 'containerFormat'
  | 'size'
  | 'checksum'
  | 'osHashAlgo'
  | 'osHashValue'
  | 'minDisk'
  | 'minRam'
  | 'protected'
  | 'osHidden'
  | 'createdAt'
  | 'updatedAt';

/** How a field is held against a value. */
export type FilterOperator = 'eq' | 'neq' | 'gt' | 'gte' | 'lt' | 'lte';

/** One condition. `oneOf`: the field has any of the values; `outside`: it is below the first or not below the second. */
export type ImageFilter =
  | { readonly field: FilterField; readonly operator: FilterOperator; readonly value: string | number | boolean }
  | { readonly field: FilterField; readonly oneOf: readonly (string | number)[] }
  | { readonly field: FilterField; readonly outside: readonly [from: number, to: number] };

/** The fields that images can be sorted by. */
export const SORT_FIELDS = [
  'name',
  'status',
  'containerFormat',
  'diskFormat',
  'size',
  'id',
  'createdAt',
  'updatedAt',
] as const;
/** One of `SORT_FIELDS`. */
export type SortField = (typeof SORT_FIELDS)[number];

/** One key of an order. Images without a value come before all that have one, `asc`. */
export interface ImageSort {
  readonly field: SortField;
  readonly direction: 'asc' | 'desc';
}

/** With whose eyes to look: a project sees its own images, public ones, community ones and those it is a member of. */
export interface ImageViewer {
  readonly projectId: string | null;
  /** `all`: an administrator, who sees every image. */
  readonly sees: 'all' | 'own';
  /** Only images that were shared with the project and that it has answered so; `accepted` unless said otherwise. */
  readonly memberStatus?: MemberStatus | 'all';
}

/** Which images to list; newest first unless `sort` says otherwise. */
export interface ImageQuery {
  readonly status?: ImageStatus;
  readonly name?: string;
  readonly owner?: string;
  /** Deleted images are left out unless asked for. */
  readonly deleted?: 'include';
  /** Every image when absent. With a viewer, community images of others are left out unless `visibility` asks for them. */
  readonly viewer?: ImageViewer;
  readonly visibility?: Visibility | 'all';
  readonly filters?: readonly ImageFilter[];
  /** Images that have all these properties with these values. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Images that have all these tags. */
  readonly tags?: readonly string[];
  /** Ties are decided by time of creation and id, in the direction of the first key. */
  readonly sort?: readonly ImageSort[];
  /** Only what comes after this image in the order. */
  readonly afterId?: string;
  /** At most this many, 0 to 1000; 1000 when not given. */
  readonly limit?: number;
}
