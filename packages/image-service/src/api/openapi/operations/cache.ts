import type { Operation, Operations } from '../operation.ts';
import { EMPTY, json } from '../operation.ts';

const IMAGE_IDS = { type: 'array', items: { type: 'string' } };
const COPIES = {
  type: 'array',
  items: {
    type: 'object',
    properties: {
      image_id: { type: 'string' },
      hits: { type: 'integer' },
      last_accessed: { type: 'number', description: 'Seconds since 1970; 0: never' },
      last_modified: { type: 'number', description: 'Seconds since 1970' },
      size: { type: 'integer' },
    },
    required: ['image_id', 'hits', 'last_accessed', 'last_modified', 'size'],
  },
};
const TARGET = {
  name: 'x-image-cache-clear-target',
  says: 'Only one of both; both when absent',
  schema: { type: 'string', enum: ['', 'cache', 'queue'] },
};

function listing(properties: Readonly<Record<string, unknown>>): Operation {
  const schema = { type: 'object', properties, required: Object.keys(properties) };
  return { tag: 'Image cache', answers: { 200: json('What is there', schema) }, errors: [403, 404] };
}

const EMPTIED: Operation = {
  tag: 'Image cache',
  answers: { 200: json('How many were in it', { type: 'object', properties: { num_deleted: { type: 'integer' } } }) },
  errors: [403, 404],
};
const REMOVED: Operation = { tag: 'Image cache', answers: { 200: EMPTY }, errors: [403, 404] };

/** The copies of images that a node keeps. */
export const CACHE_OPERATIONS: Operations = {
  'GET /v2/cache': listing({ cached_images: COPIES, queued_images: IMAGE_IDS }),
  'DELETE /v2/cache': { tag: 'Image cache', headers: [TARGET], answers: { 204: EMPTY }, errors: [400, 403, 404] },
  'PUT /v2/cache/{imageId}': { tag: 'Image cache', answers: { 202: EMPTY }, errors: [400, 403, 404] },
  'DELETE /v2/cache/{imageId}': { tag: 'Image cache', answers: { 204: EMPTY }, errors: [403, 404] },
  'POST /v2/cache/clean': {
    tag: 'Image cache',
    says: 'Copies of images that are not active, or have other data now; unfinished ones that stalled.',
    answers: { 200: json('It is done', { type: 'object' }) },
    errors: [403, 404],
  },
  'POST /v2/cache/prune': listing({ total_files_pruned: { type: 'integer' }, total_bytes_pruned: { type: 'integer' } }),
  'GET /v2/cache/nodes/{imageId}': {
    tag: 'Image cache',
    says: 'Only where nodes say at which URL they are reached by themselves.',
    answers: { 200: json('URLs of nodes', IMAGE_IDS) },
    errors: [403, 404, 409],
  },
  'GET /v2/cached_images': listing({ cached_images: COPIES }),
  'DELETE /v2/cached_images': EMPTIED,
  'DELETE /v2/cached_images/{imageId}': REMOVED,
  'GET /v2/queued_images': listing({ queued_images: IMAGE_IDS }),
  'DELETE /v2/queued_images': EMPTIED,
  'DELETE /v2/queued_images/{imageId}': REMOVED,
  'PUT /v2/queued_images/{imageId}': { tag: 'Image cache', answers: { 200: EMPTY }, errors: [400, 403, 404] },
};
