import { TASK_STATUSES } from '../../../catalog/task.ts';
import type { Operations } from '../operation.ts';
import { EMPTY, json, jsonBody, PAGE_QUERY, ref } from '../operation.ts';

const OCTETS = ['application/octet-stream'];
const BYTES = { types: OCTETS, schema: {} };
const SIZE = { name: 'X-OpenStack-Image-Size', says: 'How many bytes there must be', schema: { type: 'integer' } };
const STORE = { name: 'X-Image-Meta-Store', says: 'The store that it is for; the default one when absent' };
const TASK = json('The task', ref('task'));
const LOCATION = { Location: 'Where the task is' };

const DOWNLOADED = {
  says: 'The data',
  types: OCTETS,
  headers: { 'Content-MD5': 'The checksum of all of it', ETag: 'The same, for If-Range', 'Accept-Ranges': 'bytes' },
};

/** The bytes of images, and the tasks that move them. */
export const IMAGE_DATA_OPERATIONS: Operations = {
  'PUT /v2/images/{imageId}/file': {
    tag: 'Image data',
    says: 'Hashed on the way and inspected before the image becomes active.',
    headers: [SIZE, STORE],
    body: BYTES,
    answers: { 204: EMPTY },
    errors: [400, 403, 404, 408, 409, 410, 413, 415, 503],
  },
  'GET /v2/images/{imageId}/file': {
    tag: 'Image data',
    says: 'With format: the image in that format, made while it is sent; what else stands in the query are options of the format.',
    query: [
      { name: 'format', says: 'raw, qcow2, vmdk, vpc, vhdx or vdi; as it is stored when absent' },
      { name: 'subformat', says: 'Of vmdk, vpc and vhdx: streamOptimized, fixed, ...' },
      { name: 'compression', says: 'Of qcow2: none, zlib or zstd; every other option of a format may stand here too' },
      { name: 'prefer', says: 'Stores to read from first, when no format is named' },
    ],
    headers: [
      { name: 'Range', says: 'Only these bytes: bytes=0-1023' },
      {
        name: 'If-Range',
        says: 'The ETag of what the caller has the beginning of: the whole when it is not that any more',
      },
    ],
    answers: {
      200: DOWNLOADED,
      206: { ...DOWNLOADED, says: 'The bytes of the range', headers: { 'Content-Range': 'Which ones of how many' } },
      204: { says: 'The image has no data' },
    },
    errors: [400, 403, 404, 409, 416, 503],
  },
  'PUT /v2/images/{imageId}/stage': {
    tag: 'Image data',
    headers: [SIZE],
    body: BYTES,
    answers: { 204: EMPTY },
    errors: [400, 403, 404, 408, 409, 410, 413, 415, 503],
  },
  'POST /v2/images/{imageId}/import': {
    tag: 'Image data',
    says: 'A task does it; the image is active at its end, or queued as before.',
    headers: [STORE],
    body: jsonBody(ref('new_import')),
    answers: { 202: { says: 'It has begun', headers: LOCATION } },
    errors: [400, 403, 404, 409, 413, 503],
  },
  'POST /v2/images/{imageId}/actions/inspect': {
    tag: 'Image data',
    answers: { 200: json('The verdict', ref('inspection')) },
    errors: [403, 404, 409, 503],
  },
  'POST /v2/images/{imageId}/actions/convert': {
    tag: 'Image data',
    says: 'The image stays in use; its new data takes the place of the old at once, at the end of the task.',
    body: jsonBody(ref('conversion')),
    answers: { 202: { ...TASK, headers: LOCATION } },
    errors: [400, 403, 404, 409, 413, 503],
  },
  'GET /v2/images/{imageId}/locations': {
    tag: 'Stores',
    answers: { 200: json('The locations', { type: 'array', items: ref('location') }) },
    errors: [403, 404],
  },
  'POST /v2/images/{imageId}/locations': {
    tag: 'Stores',
    body: jsonBody(ref('new_location')),
    answers: { 202: json('The location', ref('added_location')) },
    errors: [400, 403, 404, 409, 413],
  },
  'DELETE /v2/stores/{storeId}/{imageId}': { tag: 'Stores', answers: { 204: EMPTY }, errors: [403, 404, 409] },
  'GET /v2/images/{imageId}/tasks': {
    tag: 'Tasks',
    answers: { 200: json('The tasks, newest first', ref('tasks')) },
    errors: [404],
  },
  'GET /v2/tasks': {
    tag: 'Tasks',
    says: 'For administrators.',
    query: [
      ...PAGE_QUERY,
      { name: 'status', says: 'How far they are', schema: { type: 'string', enum: [...TASK_STATUSES] } },
      { name: 'type', says: 'What they do' },
    ],
    answers: { 200: json('A page of tasks, newest first', ref('tasks')) },
    errors: [400, 403, 404],
  },
  'POST /v2/tasks': {
    tag: 'Tasks',
    says: 'Makes an image and imports it from a web address. For administrators.',
    body: jsonBody(ref('new_task')),
    answers: { 201: { ...TASK, headers: LOCATION } },
    errors: [400, 403, 413],
  },
  'GET /v2/tasks/{taskId}': { tag: 'Tasks', says: 'For administrators.', answers: { 200: TASK }, errors: [403, 404] },
  'GET /v2/tasks/{taskId}/events': {
    tag: 'Tasks',
    says: 'Server-sent events: task, then progress as it goes, and task again at the end.',
    answers: { 200: { says: 'The events', types: ['text/event-stream'] } },
    errors: [404],
  },
  'POST /v2/tasks/{taskId}/actions/cancel': {
    tag: 'Tasks',
    says: 'What it has done is undone.',
    answers: { 202: { says: 'It will end' } },
    errors: [403, 404, 409],
  },
};
