import { randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Caller } from '../auth/caller.ts';
import { CatalogError } from '../catalog/errors.ts';
import type { TaskQuery } from '../catalog/repositories.ts';
import type { TaskRecord } from '../catalog/task.ts';
import { TASK_STATUSES, TASK_TYPES } from '../catalog/task.ts';
import { maskedAddress, redactedValue } from '../telemetry/redact.ts';
import type { ApiParts } from './api-parts.ts';
import { badRequest, HttpError } from './http-error.ts';
import { demand, paramOf, policyTarget, visibleImage } from './image-access.ts';
import { newImageOf } from './image-changes.ts';
import { timeText } from './image-document.ts';
import { imageSchema } from './image-schema.ts';
import { askerOf, jsonOf } from './import.ts';
import { isObject, objectBody } from './json-body.ts';
import type { UrlQuery } from './page.ts';
import { pageLimit, pageLinks, singleValue } from './page.ts';
import { schemaCheck } from './schema-check.ts';

/** `/v2/tasks` and `/v2/images/{id}/tasks`: what was asked for, how far it is, why it failed. */
export function taskRoutes(app: FastifyInstance, parts: ApiParts): void {
  const check = schemaCheck(imageSchema(parts.settings));
  app.get('/v2/tasks', { config: { summary: 'List tasks' } }, (request) => listTasks(parts, request));
  app.get('/v2/tasks/:taskId', { config: { summary: 'Show a task' } }, async (request) => {
    const task = await taskFor(parts, request, 'get_task');
    return taskDocument(parts, task);
  });
  app.post('/v2/tasks', { config: { summary: 'Begin a task' } }, async (request, reply) => {
    demand(parts, 'tasks_api_access', request.caller, {});
    demand(parts, 'add_task', request.caller, {});
    const body = objectBody(request.body);
    const { uri, image } = importInput(parts, body, check, request);
    const taskInput = jsonOf(objectBody(body['input']));
    const task = await parts.imports.submitTask({ uri, image, asker: askerOf(request), taskInput });
    return reply
      .code(201)
      .header('location', `/v2/tasks/${task.id}`)
      .send(await taskDocument(parts, task));
  });
  app.post(
    '/v2/tasks/:taskId/actions/cancel',
    { config: { summary: 'Cancel a running task' } },
    async (request, reply) => {
      const task = await requireTask(parts, paramOf(request.params, 'taskId'));
      if (!isTheirs(request.caller, task)) throw noTask(task.id);
      demand(parts, 'cancel_import', request.caller, { project_id: task.owner, owner: task.owner });
      if (task.status !== 'pending' && task.status !== 'processing') {
        throw new HttpError(409, `Task ${task.id} has ended already (${task.status})`);
      }
      await parts.imports.cancel(task.id);
      return reply.code(202).send();
    },
  );
  app.get('/v2/images/:imageId/tasks', { config: { summary: 'List the tasks of an image' } }, async (request) => {
    const image = await visibleImage(parts, request.caller, paramOf(request.params, 'imageId'));
    if (!parts.policy.allows('get_image', request.caller, policyTarget(image))) throw noTask(image.id);
    const tasks = await parts.catalog.tasks.list({ imageId: image.id });
    return {
      tasks: await Promise.all(tasks.map((task) => shownTask(parts, request.caller, task))),
      schema: '/v2/schemas/tasks',
    };
  });
}

/** The task, if the caller may know of it. Throws 403, 404. */
export async function taskFor(parts: ApiParts, request: FastifyRequest, rule: string): Promise<TaskRecord> {
  demand(parts, 'tasks_api_access', request.caller, {});
  demand(parts, rule, request.caller, {});
  const task = await requireTask(parts, paramOf(request.params, 'taskId'));
  if (isTheirs(request.caller, task)) return task;
  throw noTask(task.id);
}

/** Is it the task of the caller's project, or the caller an administrator? */
export function isTheirs({ isAdmin, projectId }: Caller, { owner }: TaskRecord): boolean {
  return isAdmin || owner === projectId;
}

/** The task by its id. Throws 404. */
export function requireTask(parts: ApiParts, id: string): Promise<TaskRecord> {
  return parts.catalog.tasks.get(id).catch((error: unknown) => {
    throw error instanceof CatalogError && error.code === 'not_found' ? noTask(id) : error;
  });
}

/** The answer for a task that is not there, or not for this caller. */
export function noTask(id: string): HttpError {
  return new HttpError(404, `No task found with ID ${id.slice(0, 100)}`);
}

async function listTasks(parts: ApiParts, request: FastifyRequest): Promise<unknown> {
  const { caller } = request;
  demand(parts, 'tasks_api_access', caller, {});
  demand(parts, 'get_tasks', caller, {});
  const query = request.query as UrlQuery;
  const limit = pageLimit(query, parts.settings.pageSize);
  const marker = singleValue(query, 'marker');
  const after = marker === undefined ? undefined : await requireTask(parts, marker);
  const tasks = await parts.catalog.tasks.list({
    ...filtersOf(query),
    ...(caller.isAdmin ? {} : { owner: caller.projectId ?? '' }),
    ...(after === undefined ? {} : { after }),
    limit,
  });
  return {
    tasks: tasks.map(shortDocument),
    ...pageLinks(request.url, limit > 0 && tasks.length === limit ? tasks.at(-1)?.id : undefined),
    schema: '/v2/schemas/tasks',
  };
}

function filtersOf(query: UrlQuery): Pick<TaskQuery, 'status' | 'type'> {
  const status = singleValue(query, 'status');
  const type = singleValue(query, 'type');
  const known = TASK_STATUSES.find((each) => each === status);
  if (status !== undefined && known === undefined) throw badRequest(`Invalid status value: ${status}`);
  const knownType = TASK_TYPES.find((each) => each === type);
  if (type !== undefined && knownType === undefined) throw badRequest(`Invalid type value: ${type}`);
  return {
    ...(known === undefined ? {} : { status: known }),
    ...(knownType === undefined ? {} : { type: knownType }),
  };
}

type NewImageOfTask = Parameters<ApiParts['imports']['submitTask']>[0]['image'];

function importInput(
  parts: ApiParts,
  body: Readonly<Record<string, unknown>>,
  check: (document: unknown) => void,
  request: FastifyRequest,
): { readonly uri: string; readonly image: NewImageOfTask } {
  const { type, input } = body;
  if (type !== 'import') throw badRequest(`Task type ${JSON.stringify(type ?? null)} is not one of: import`);
  if (!isObject(input)) throw badRequest("Input does not contain 'import_from' field");
  const { import_from: uri, import_from_format: format, image_properties: properties } = input;
  if (typeof uri !== 'string') throw badRequest("Input does not contain 'import_from' field");
  if (typeof format !== 'string') throw badRequest("Input does not contain 'import_from_format' field");
  if (!isObject(properties)) throw badRequest("Input does not contain 'image_properties' field");
  const wished = { disk_format: format, container_format: 'bare', ...properties };
  const image = newImageOf(wished, randomUUID(), { check, quotas: parts.settings.quotas });
  const { diskFormat } = image;
  if (diskFormat === undefined || diskFormat === null) throw badRequest('The image must have a disk_format');
  return { uri, image: { ...image, diskFormat, owner: image.owner ?? request.caller.projectId } };
}

function shortDocument(task: TaskRecord): Record<string, unknown> {
  return {
    id: task.id,
    type: task.type,
    status: task.status,
    owner: task.owner,
    expires_at: task.expiresAt === null ? null : timeText(task.expiresAt),
    created_at: timeText(task.createdAt),
    updated_at: timeText(task.updatedAt),
    self: `/v2/tasks/${task.id}`,
    schema: '/v2/schemas/task',
  };
}

/** Everything that callers are told of a task; beside what Glance tells, the failure's code and how far it is. */
export async function taskDocument(parts: ApiParts, task: TaskRecord): Promise<Record<string, unknown>> {
  return {
    ...shortDocument(task),
    input: task.input,
    result: task.result,
    message: task.message,
    image_id: task.imageId,
    request_id: task.requestId,
    user_id: task.userId,
    error_code: task.errorCode,
    progress: task.status === 'processing' ? await parts.imports.progress(task.id) : null,
  };
}

/**
 * What this caller is told of a task of an image that they see. From where its data comes may hold what lets somebody in:
 * that is for the project that said it.
 */
async function shownTask(parts: ApiParts, caller: Caller, task: TaskRecord): Promise<Record<string, unknown>> {
  const document = await taskDocument(parts, task);
  if (isTheirs(caller, task)) return document;
  return { ...document, input: redactedValue(task.input, maskedAddress), message: maskedAddress(task.message) };
}
