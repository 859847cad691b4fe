import type { FastifyInstance } from 'fastify';
import type { ApiParts } from '../api-parts.ts';
import { namespaceRoutes } from './namespaces.ts';
import { objectRoutes } from './objects.ts';
import { propertyRoutes } from './properties.ts';
import { resourceTypeRoutes } from './resource-types.ts';
import { metadefTagRoutes } from './tags.ts';

/** `/v2/metadefs`: what properties and tags mean to those who use images. */
export function metadefRoutes(app: FastifyInstance, parts: ApiParts): void {
  namespaceRoutes(app, parts);
  objectRoutes(app, parts);
  propertyRoutes(app, parts);
  metadefTagRoutes(app, parts);
  resourceTypeRoutes(app, parts);
}
