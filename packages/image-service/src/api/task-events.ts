import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { TaskRecord } from '../catalog/task.ts';
import type { ApiParts } from './api-parts.ts';
import { paramOf } from './image-access.ts';
import { isTheirs, noTask, requireTask, taskDocument } from './tasks.ts';

/** Milliseconds between two events of progress. */
const SPACING_MS = 250;

/** `GET /v2/tasks/{id}/events`: server-sent events `progress`, then one `task` with the whole task when it has ended. */
export function taskEventsRoute(app: FastifyInstance, parts: ApiParts): void {
  const following = new Set<() => void>();
  // Nobody can wait for a task here when the service stops: it goes on after the next start.
  app.addHook('preClose', async () => {
    for (const leave of following) leave();
  });
  app.get('/v2/tasks/:taskId/events', { config: { summary: 'Follow a task' } }, async (request, reply) => {
    const task = await requireTask(parts, paramOf(request.params, 'taskId'));
    if (!isTheirs(request.caller, task)) throw noTask(task.id);
    const stream = Readable.from(events(parts, task, following));
    request.raw.on('close', () => {
      if (!reply.raw.writableFinished) stream.destroy();
    });
    return reply.type('text/event-stream').header('cache-control', 'no-store').send(stream);
  });
}

async function* events(parts: ApiParts, task: TaskRecord, following: Set<() => void>): AsyncGenerator<string> {
  let wake: (() => void) | undefined;
  let news: string | undefined;
  let ended = false;
  let last = 0;
  const stopListening = parts.imports.onProgress(task.id, (progress) => {
    const now = performance.now();
    if (now - last < SPACING_MS) return;
    last = now;
    news = eventText('progress', progress);
    wake?.();
  });
  const finish = (): void => {
    ended = true;
    wake?.();
  };
  // A task that nobody knows any more has ended.
  parts.imports.ended(task.id).then(finish, finish);
  following.add(finish);
  try {
    // The first bytes tell the caller that it is being listened to.
    yield eventText('task', await taskDocument(parts, task));
    while (!ended) {
      if (news === undefined) await new Promise<void>((resolve) => (wake = resolve));
      if (news !== undefined) yield news;
      news = undefined;
    }
    yield eventText('task', await taskDocument(parts, await requireTask(parts, task.id)));
  } finally {
    following.delete(finish);
    stopListening();
  }
}

function eventText(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
