import type { Operations } from '../operation.ts';
import { json, ref } from '../operation.ts';

const VERSIONS = json('The versions that are served, newest first', ref('versions'));
const READY = { says: 'It is', types: ['text/plain'], schema: ref('health') };

/** What the service says of itself. */
export const SERVICE_OPERATIONS: Operations = {
  'GET /': { tag: 'Service', answers: { 300: VERSIONS } },
  'GET /v2': { tag: 'Service', answers: { 300: VERSIONS } },
  'GET /v2/': { tag: 'Service', answers: { 300: VERSIONS } },
  'GET /versions': { tag: 'Service', answers: { 200: VERSIONS } },
  'GET /versions/': { tag: 'Service', answers: { 200: VERSIONS } },
  'GET /healthcheck': {
    tag: 'Service',
    says: 'One sentence; every check as JSON for administrators who ask for JSON.',
    answers: { 200: READY, 503: { ...READY, says: 'It is not, and why' } },
  },
  'HEAD /healthcheck': {
    tag: 'Service',
    answers: { 200: { says: 'It is, and JSON was asked for' }, 204: { says: 'It is' }, 503: { says: 'It is not' } },
  },
  'GET /healthcheck/live': { tag: 'Service', answers: { 200: { says: 'It does', types: ['text/plain'] } } },
  'GET /metrics': {
    tag: 'Service',
    says: 'For administrators.',
    answers: { 200: { says: 'The figures', types: ['text/plain'] } },
    errors: [403],
  },
  'GET /openapi.json': {
    tag: 'Service',
    answers: { 200: json('An OpenAPI document, version 3.1', { type: 'object', required: ['openapi', 'paths'] }) },
  },
  'GET /docs': { tag: 'Service', answers: { 200: { says: 'The same, for people', types: ['text/html'] } } },
  'GET /v2/info/import': {
    tag: 'Service',
    answers: { 200: json('The names of the ways to import', ref('import_methods')) },
  },
  'GET /v2/info/usage': { tag: 'Service', answers: { 200: json('Each use with its limit', ref('usage')) } },
  'GET /v2/info/stores': { tag: 'Stores', answers: { 200: json('The stores', ref('stores')) } },
  'GET /v2/info/stores/detail': {
    tag: 'Stores',
    answers: { 200: json('The stores with their kinds and weights', ref('stores_detail')) },
    errors: [403],
  },
};
