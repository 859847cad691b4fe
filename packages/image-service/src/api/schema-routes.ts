import type { FastifyInstance } from 'fastify';
import type { ApiSettings } from './api-parts.ts';
import type { JsonSchema } from './image-schema.ts';
import { imageSchema, MEMBER_SCHEMA, pageSchema, TASK_SCHEMA } from './image-schema.ts';
import { METADEF_SCHEMAS } from './metadefs/schemas.ts';

/** `/v2/schemas/...`: what documents look like; the same schemas check what callers send. */
export function schemaRoutes(app: FastifyInstance, settings: ApiSettings): void {
  for (const [name, schema] of Object.entries(servedSchemas(settings))) {
    app.get(`/v2/schemas/${name}`, { config: { summary: `The schema of: ${name}` } }, () => schema);
  }
}

/** Every schema by its name. */
export function servedSchemas(settings: ApiSettings): Readonly<Record<string, JsonSchema>> {
  const image = imageSchema(settings);
  return {
    image,
    images: pageSchema('images', image),
    member: MEMBER_SCHEMA,
    members: pageSchema('members', MEMBER_SCHEMA),
    task: TASK_SCHEMA,
    tasks: pageSchema('tasks', TASK_SCHEMA),
    ...Object.fromEntries(Object.entries(METADEF_SCHEMAS).map(([name, schema]) => [`metadefs/${name}`, schema])),
  };
}
