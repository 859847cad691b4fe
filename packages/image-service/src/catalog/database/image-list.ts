import type {
  Expression,
  ExpressionBuilder,
  ExpressionWrapper,
  Kysely,
  Selectable,
  SelectQueryBuilder,
  SqlBool,
} from 'kysely';
import { CatalogError } from '../errors.ts';
import type { FilterField, ImageFilter, ImageQuery, ImageSort, ImageViewer, SortField } from '../image-query.ts';
import type { CatalogTables, ImageRow } from './tables.ts';

/** The most records in one list. */
export const MAX_LIST_LENGTH: number = 1000;

type Builder = ExpressionBuilder<CatalogTables, 'images'>;
type Condition = (row: Builder) => Expression<SqlBool>;
type Rows = SelectQueryBuilder<CatalogTables, 'images', Selectable<ImageRow>>;

/** The rows of the images that the query means, in its order. Throws `not_found` when there is no image `afterId`. */
export async function selectImages(
  db: Kysely<CatalogTables>,
  query: ImageQuery,
): Promise<readonly Selectable<ImageRow>[]> {
  const keys = orderOf(query.sort ?? []);
  let rows: Rows = db.selectFrom('images').selectAll();
  for (const condition of conditionsOf(query)) rows = rows.where(condition);
  if (query.afterId !== undefined) {
    const marker = await db.selectFrom('images').selectAll().where('id', '=', query.afterId).executeTakeFirst();
    if (marker === undefined) throw new CatalogError('not_found', `There is no image ${query.afterId}`);
    rows = rows.where(afterMarker(keys, marker));
  }
  for (const key of keys) rows = rows.orderBy((row) => sortable(row, key), key.direction);
  return rows.limit(Math.min(query.limit ?? MAX_LIST_LENGTH, MAX_LIST_LENGTH)).execute();
}

/** The column behind each field. */
const COLUMNS = {
  id: 'id',
  name: 'name',
  status: 'status',
  owner: 'owner',
  diskFormat: 'disk_format',
  containerFormat: 'container_format',
  size: 'size',
  checksum: 'checksum',
  osHashAlgo: 'os_hash_algo',
  osHashValue: 'os_hash_value',
  minDisk: 'min_disk',
  minRam: 'min_ram',
  protected: 'protected',
  osHidden: 'os_hidden',
  createdAt: 'created_at',
  updatedAt: 'updated_at',
} as const satisfies Record<FilterField, keyof ImageRow>;

/** What stands in for a missing value, so that every database sorts it first. */
const STAND_IN: Readonly<Partial<Record<SortField, string | number>>> = {
  name: '',
  containerFormat: '',
  diskFormat: '',
  size: -1,
};

function conditionsOf(query: ImageQuery): readonly Condition[] {
  const conditions: Condition[] = [];
  const { status, name, owner, viewer, visibility } = query;
  if (status !== undefined) conditions.push((row) => row('status', '=', status));
  if (query.deleted !== 'include' && status !== 'deleted') conditions.push((row) => row('status', '!=', 'deleted'));
  if (name !== undefined) conditions.push((row) => row('name', '=', name));
  if (owner !== undefined) conditions.push((row) => row('owner', '=', owner));
  if (viewer?.sees === 'own') conditions.push(seenByProject(viewer));
  if (visibility !== undefined && visibility !== 'all') conditions.push((row) => row('visibility', '=', visibility));
  if (viewer !== undefined && visibility === undefined) conditions.push(withoutForeignCommunity(viewer.projectId));
  for (const filter of query.filters ?? []) conditions.push(conditionOf(filter));
  for (const [property, value] of Object.entries(query.properties ?? {})) conditions.push(hasProperty(property, value));
  for (const tag of query.tags ?? []) conditions.push(hasTag(tag));
  return conditions;
}

function seenByProject({ projectId, memberStatus = 'accepted' }: ImageViewer): Condition {
  return (row) => {
    const open = row('visibility', 'in', ['public', 'community']);
    if (projectId === null) return open;
    let shares = row
      .selectFrom('image_members')
      .select('image_members.image_id')
      .where('image_members.member', '=', projectId);
    if (memberStatus !== 'all') shares = shares.where('image_members.status', '=', memberStatus);
    return row.or([
      open,
      row('owner', '=', projectId),
      row.and([row('visibility', '=', 'shared'), row('id', 'in', shares)]),
    ]);
  };
}

function withoutForeignCommunity(projectId: string | null): Condition {
  return (row) =>
    projectId === null
      ? row('visibility', '!=', 'community')
      : row.or([row('visibility', '!=', 'community'), row('owner', '=', projectId)]);
}

const OPERATORS = { eq: '=', neq: '!=', gt: '>', gte: '>=', lt: '<', lte: '<=' } as const;

function conditionOf(filter: ImageFilter): Condition {
  const column = COLUMNS[filter.field];
  if ('oneOf' in filter) {
    const values = [...filter.oneOf];
    return (row) => (values.length === 0 ? row.val(false) : row(column, 'in', values));
  }
  if ('outside' in filter) {
    const [from, to] = filter.outside;
    return (row) => row.or([row(column, '<', from), row(column, '>=', to)]);
  }
  const value = typeof filter.value === 'boolean' ? Number(filter.value) : filter.value;
  return (row) => row(column, OPERATORS[filter.operator], value);
}

function hasProperty(name: string, value: string): Condition {
  return (row) =>
    row(
      'id',
      'in',
      row
        .selectFrom('image_properties')
        .select('image_properties.image_id')
        .where('image_properties.name', '=', name)
        .where('image_properties.value', '=', value),
    );
}

function hasTag(tag: string): Condition {
  return (row) =>
    row('id', 'in', row.selectFrom('image_tags').select('image_tags.image_id').where('image_tags.tag', '=', tag));
}

/** The whole order: what was asked for, then time of creation and id, so that no two images tie. */
function orderOf(sort: readonly ImageSort[]): readonly ImageSort[] {
  const direction = sort[0]?.direction ?? 'desc';
  const fields: readonly SortField[] = ['createdAt', 'id'];
  const missing = fields.filter((field) => sort.every((key) => key.field !== field));
  return [...sort, ...missing.map((field) => ({ field, direction }))];
}

function sortable(
  row: Builder,
  { field }: ImageSort,
): ExpressionWrapper<CatalogTables, 'images', string | number | null> {
  const column = COLUMNS[field];
  const standIn = STAND_IN[field];
  // A plain column keeps its index of use.
  return standIn === undefined ? row.ref(column) : row.fn.coalesce(column, row.val(standIn));
}

/** After the marker: equal in the first keys, beyond it in the next one. */
function afterMarker(keys: readonly ImageSort[], marker: Selectable<ImageRow>): Condition {
  const valueOf = ({ field }: ImageSort): string | number => marker[COLUMNS[field]] ?? STAND_IN[field] ?? '';
  return (row) =>
    row.or(
      keys.map((key, position) =>
        row.and([
          ...keys.slice(0, position).map((before) => row(sortable(row, before), '=', valueOf(before))),
          row(sortable(row, key), key.direction === 'asc' ? '>' : '<', valueOf(key)),
        ]),
      ),
    );
}
