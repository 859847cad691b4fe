import { PATCH_TYPES } from '../../json-patch.ts';
import type { Operations, Parameter } from '../operation.ts';
import { EMPTY, json, jsonBody, PAGE_QUERY, ref } from '../operation.ts';

const IMAGE = json('The image', ref('image'));
const MEMBER = json('The member', ref('member'));
const FLAG = { type: 'string', enum: ['true', 'false'] };
const BYTES = { type: 'integer', minimum: 0 };

const FILTERS: readonly Parameter[] = [
  { name: 'name', says: 'Its name' },
  { name: 'id', says: 'Its id' },
  { name: 'status', says: 'Its status' },
  { name: 'owner', says: 'The project that it belongs to' },
  {
    name: 'visibility',
    says: 'Who may see it; community images of others are listed when they are asked for',
    schema: { type: 'string', enum: ['public', 'community', 'shared', 'private', 'all'] },
  },
  {
    name: 'member_status',
    says: 'What the caller answered to images that were shared with it',
    schema: { type: 'string', enum: ['pending', 'accepted', 'rejected', 'all'], default: 'accepted' },
  },
  { name: 'disk_format', says: 'Its disk format' },
  { name: 'container_format', says: 'Its container format' },
  { name: 'checksum', says: 'The MD5 of its data' },
  { name: 'os_hash_algo', says: 'The algorithm of os_hash_value' },
  { name: 'os_hash_value', says: 'The digest of its data' },
  { name: 'size_min', says: 'At least so many bytes', schema: BYTES },
  { name: 'size_max', says: 'At most so many bytes', schema: BYTES },
  { name: 'min_disk', says: 'GB of disk that it needs' },
  { name: 'min_ram', says: 'MB of memory that it needs' },
  { name: 'created_at', says: 'When it was registered: gt:2026-01-31T12:00:00Z' },
  { name: 'updated_at', says: 'When it was last changed' },
  { name: 'protected', says: 'Whether it cannot be deleted', schema: FLAG },
  { name: 'os_hidden', says: 'Whether it is hidden; hidden images are listed when they are asked for', schema: FLAG },
  {
    name: 'tag',
    says: 'A tag that it has; repeated: all of them',
    schema: { type: 'array', items: { type: 'string' } },
  },
];

const SORT: readonly Parameter[] = [
  { name: 'sort', says: 'Keys with directions: name:asc,size' },
  {
    name: 'sort_key',
    says: 'The same, one key each time',
    schema: { type: 'array', items: { type: 'string' } },
  },
  {
    name: 'sort_dir',
    says: 'One direction for all keys, or one for each',
    schema: { type: 'array', items: { type: 'string', enum: ['asc', 'desc'] } },
  },
];

/** Images and who they are shared with. */
export const IMAGE_OPERATIONS: Operations = {
  'GET /v2/images': {
    tag: 'Images',
    says: 'Texts and numbers may have eq:, neq:, gt:, gte:, lt:, lte: before them, and in: a list: in:a,"b, c". Every other name is a property that must have that value.',
    query: [...PAGE_QUERY, ...SORT, ...FILTERS],
    answers: { 200: json('A page of images', ref('images')) },
    errors: [400, 403],
  },
  'POST /v2/images': {
    tag: 'Images',
    says: 'It begins queued: without data. Every attribute that the schema does not name is a property.',
    body: { ...jsonBody(ref('image')), optional: true },
    answers: {
      201: {
        ...IMAGE,
        headers: {
          Location: 'Where the image is',
          'OpenStack-image-import-methods': 'The ways to import into it',
          'OpenStack-image-store-ids': 'The stores',
        },
      },
    },
    errors: [400, 403, 409, 413, 415],
  },
  'GET /v2/images/{imageId}': { tag: 'Images', answers: { 200: IMAGE }, errors: [403, 404] },
  'PATCH /v2/images/{imageId}': {
    tag: 'Images',
    says: 'JSON patches as in RFC 6902; 415 says in Accept-Patch which media types there are.',
    body: { types: PATCH_TYPES, schema: ref('patch') },
    answers: { 200: IMAGE },
    errors: [400, 403, 404, 408, 409, 410, 413, 415, 503],
  },
  'DELETE /v2/images/{imageId}': { tag: 'Images', answers: { 204: EMPTY }, errors: [403, 404, 409] },
  'PUT /v2/images/{imageId}/tags/{tag}': { tag: 'Images', answers: { 204: EMPTY }, errors: [400, 403, 404, 413] },
  'DELETE /v2/images/{imageId}/tags/{tag}': { tag: 'Images', answers: { 204: EMPTY }, errors: [403, 404] },
  'POST /v2/images/{imageId}/actions/deactivate': {
    tag: 'Images',
    says: 'Only administrators download it then.',
    answers: { 204: EMPTY },
    errors: [403, 404],
  },
  'POST /v2/images/{imageId}/actions/reactivate': { tag: 'Images', answers: { 204: EMPTY }, errors: [403, 404] },
  'GET /v2/images/{imageId}/members': {
    tag: 'Sharing',
    says: 'Owners see all, members themselves.',
    answers: { 200: json('The members', ref('members')) },
    errors: [403, 404],
  },
  'POST /v2/images/{imageId}/members': {
    tag: 'Sharing',
    body: jsonBody(ref('new_member')),
    answers: { 200: MEMBER },
    errors: [400, 403, 404, 409, 413],
  },
  'GET /v2/images/{imageId}/members/{memberId}': { tag: 'Sharing', answers: { 200: MEMBER }, errors: [403, 404] },
  'PUT /v2/images/{imageId}/members/{memberId}': {
    tag: 'Sharing',
    body: jsonBody(ref('member_answer')),
    answers: { 200: MEMBER },
    errors: [400, 403, 404],
  },
  'DELETE /v2/images/{imageId}/members/{memberId}': { tag: 'Sharing', answers: { 204: EMPTY }, errors: [403, 404] },
};
