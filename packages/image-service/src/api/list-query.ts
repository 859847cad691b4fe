import type {
  FilterField,
  FilterOperator,
  ImageFilter,
  ImageQuery,
  ImageSort,
  SortField,
} from '../catalog/image-query.ts';
import { SORT_FIELDS } from '../catalog/image-query.ts';
import { VISIBILITIES } from '../catalog/image.ts';
import type { MemberStatus } from '../catalog/member.ts';
import { MEMBER_STATUSES } from '../catalog/member.ts';
import { badRequest } from './http-error.ts';
import type { UrlQuery } from './page.ts';
import { allValues, singleValue } from './page.ts';

/** What a URL asks of the list, beside its page. */
export type ListWish = ImageQuery & { readonly memberStatus?: MemberStatus | 'all' };

/** Names that say something else than a filter. */
const OTHER_NAMES = new Set(['limit', 'marker', 'sort', 'sort_key', 'sort_dir', 'member_status', 'tag', 'visibility']);

type FieldKind = 'text' | 'number' | 'time' | 'truth';

/** The attributes that can be filtered by; every other name is a property. */
const FILTERS: Readonly<Record<string, readonly [field: FilterField, kind: FieldKind]>> = {
  id: ['id', 'text'],
  name: ['name', 'text'],
  status: ['status', 'text'],
  owner: ['owner', 'text'],
  container_format: ['containerFormat', 'text'],
  disk_format: ['diskFormat', 'text'],
  checksum: ['checksum', 'text'],
  os_hash_algo: ['osHashAlgo', 'text'],
  os_hash_value: ['osHashValue', 'text'],
  size: ['size', 'number'],
  min_ram: ['minRam', 'number'],
  min_disk: ['minDisk', 'number'],
  created_at: ['createdAt', 'time'],
  updated_at: ['updatedAt', 'time'],
  protected: ['protected', 'truth'],
  os_hidden: ['osHidden', 'truth'],
};

/** Filters and order of a URL. Throws 400 with what is wrong. */
export function parseListQuery(query: UrlQuery): ListWish {
  const filters: ImageFilter[] = [];
  const properties: Record<string, string> = {};
  for (const name of Object.keys(query)) {
    if (OTHER_NAMES.has(name)) continue;
    const value = singleValue(query, name) ?? '';
    if (name === 'size_min' || name === 'size_max') filters.push(sizeBound(name, value));
    else if (Object.hasOwn(FILTERS, name)) filters.push(...filterOf(name, value));
    else properties[name] = value;
  }
  // Hidden images are shown only to those who ask for them.
  if (query['os_hidden'] === undefined) filters.push({ field: 'osHidden', operator: 'eq', value: false });
  return {
    filters,
    properties,
    tags: allValues(query, 'tag'),
    sort: sortOf(query),
    ...visibilityOf(singleValue(query, 'visibility')),
    ...memberStatusOf(singleValue(query, 'member_status')),
  };
}

function visibilityOf(value: string | undefined): Pick<ListWish, 'visibility'> {
  if (value === undefined) return {};
  const visibility = [...VISIBILITIES, 'all' as const].find((known) => known === value);
  if (visibility === undefined) throw badRequest(`Invalid visibility value: ${value}`);
  return { visibility };
}

function memberStatusOf(value: string | undefined): Pick<ListWish, 'memberStatus'> {
  if (value === undefined) return {};
  const memberStatus = [...MEMBER_STATUSES, 'all' as const].find((known) => known === value);
  if (memberStatus === undefined) throw badRequest(`Invalid status: ${value}`);
  return { memberStatus };
}

function sizeBound(name: 'size_min' | 'size_max', value: string): ImageFilter {
  return { field: 'size', operator: name === 'size_min' ? 'gte' : 'lte', value: numberOf(name, value) };
}

const OPERATORS: readonly FilterOperator[] = ['eq', 'neq', 'gt', 'gte', 'lt', 'lte'];

/** `gt:5` taken apart; a value without an operator is to be equal. */
function operatorOf(text: string): readonly [operator: FilterOperator | 'in', value: string] {
  const colon = text.indexOf(':');
  const before = text.slice(0, Math.max(0, colon));
  if (before === 'in') return ['in', text.slice(colon + 1)];
  const operator = OPERATORS.find((known) => known === before);
  return operator === undefined ? ['eq', text] : [operator, text.slice(colon + 1)];
}

function filterOf(name: string, text: string): readonly ImageFilter[] {
  const [field, kind] = FILTERS[name] ?? ['name', 'text'];
  if (kind === 'truth') {
    // openstacksdk writes True.
    const truth = text.toLowerCase();
    if (truth !== 'true' && truth !== 'false') throw badRequest(`The value of ${name} must be "true" or "false"`);
    return [{ field, operator: 'eq', value: truth === 'true' }];
  }
  const [operator, value] = operatorOf(text);
  if (operator === 'in') {
    if (kind === 'time') throw badRequest(`Unable to filter by ${name} with the operator "in"`);
    const values = listOf(name, value);
    return [{ field, oneOf: kind === 'number' ? values.map((each) => numberOf(name, each)) : values }];
  }
  if (kind === 'time') return timeFilters(field, operator, timeOf(name, value));
  return [{ field, operator, value: kind === 'number' ? numberOf(name, value) : value }];
}

/** A time is shown in whole seconds: what callers compare with is the second, not its first millisecond. */
function timeFilters(field: FilterField, operator: FilterOperator, second: number): readonly ImageFilter[] {
  const next = second + 1000;
  switch (operator) {
    case 'eq':
      return [
        { field, operator: 'gte', value: second },
        { field, operator: 'lt', value: next },
      ];
    case 'neq':
      return [{ field, outside: [second, next] }];
    case 'gt':
      return [{ field, operator: 'gte', value: next }];
    case 'lte':
      return [{ field, operator: 'lt', value: next }];
    default:
      return [{ field, operator, value: second }];
  }
}

function timeOf(name: string, value: string): number {
  const zoned = /(?:Z|[+-]\d\d:?\d\d)$/i.test(value) ? value : `${value}Z`;
  const time = /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(zoned) : Date.parse(value);
  if (Number.isNaN(time)) throw badRequest(`The value of ${name} is no time such as 2026-01-31T12:00:00Z`);
  return Math.floor(time / 1000) * 1000;
}

function numberOf(name: string, value: string): number {
  if (/^\d{1,15}$/.test(value)) return Number(value);
  throw badRequest(`The value of ${name} must be a whole number that is not negative`);
}

/** `a,"b, c",d`: parts that hold commas stand in quotation marks. */
function listOf(name: string, text: string): readonly string[] {
  const values = [...text.matchAll(/(?:^|,)(?:"([^"]*)"|([^",]*))(?=,|$)/g)];
  const whole = values.reduce((length, [part]) => length + part.length, 0);
  if (whole !== text.length) throw badRequest(`Invalid filter value ${text} of ${name}: the quotes are not in pairs`);
  return values.map(([, quoted, plain]) => quoted ?? plain ?? '');
}

const SORT_NAMES: Readonly<Record<string, SortField>> = {
  name: 'name',
  status: 'status',
  container_format: 'containerFormat',
  disk_format: 'diskFormat',
  size: 'size',
  id: 'id',
  created_at: 'createdAt',
  updated_at: 'updatedAt',
};

/** `sort=name:asc,size` or `sort_key=name&sort_dir=asc`, the latter repeated for several keys. */
function sortOf(query: UrlQuery): readonly ImageSort[] {
  const sort = singleValue(query, 'sort');
  const keys = allValues(query, 'sort_key');
  const directions = allValues(query, 'sort_dir');
  if (sort !== undefined) {
    if (keys.length > 0 || directions.length > 0) throw badRequest('Old and new sorting syntax cannot be combined');
    return distinct(sort.split(',').map((key) => sortKey(...(key.trim().split(':') as [string, string?]))));
  }
  const names = keys.length === 0 && directions.length > 0 ? ['created_at'] : keys;
  if (directions.length > 1 && directions.length !== names.length) {
    throw badRequest('Number of sort dirs does not match the number of sort keys');
  }
  return distinct(names.map((key, position) => sortKey(key, directions[position] ?? directions[0])));
}

function sortKey(name: string, direction = 'desc'): ImageSort {
  const field = SORT_FIELDS.find((known) => known === SORT_NAMES[name]);
  if (field === undefined || !Object.hasOwn(SORT_NAMES, name)) {
    throw badRequest(
      `Invalid sort key: ${name}. It must be one of the following: ${Object.keys(SORT_NAMES).join(', ')}.`,
    );
  }
  if (direction !== 'asc' && direction !== 'desc') throw badRequest(`Invalid sort direction: ${direction}`);
  return { field, direction };
}

function distinct(keys: readonly ImageSort[]): readonly ImageSort[] {
  if (new Set(keys.map((key) => key.field)).size === keys.length) return keys;
  throw badRequest('A sort key may be given only once');
}
