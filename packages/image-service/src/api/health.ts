import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ApiParts } from './api-parts.ts';
import { callHeaders } from './call-headers.ts';

/** One thing that must be well for the service to work. */
export interface HealthCheck {
  /** `database`, `work space`, `store a`. */
  readonly name: string;
  /** What is wrong, in one sentence without paths; undefined when nothing is. */
  readonly fault: string | undefined;
}

/** Whether the service can work now. */
export interface HealthReport {
  /** An operator has taken the service out of use. */
  readonly disabled: boolean;
  readonly checks: readonly HealthCheck[];
}

/** Looks whether the service, on that port of its, can work now. */
export type LookAtHealth = (port: number | undefined) => Promise<HealthReport>;

/** What Glance says of a service that is disabled by a file. */
const DISABLED = 'DISABLED BY FILE';
const TEXT = 'text/plain; charset=utf-8';

/**
 * `/healthcheck` (is it ready to work) and `/healthcheck/live` (does it answer at all), for what watches services. Each
 * check, as JSON, is told to administrators who ask for JSON; to others one sentence.
 */
export function healthRoutes(app: FastifyInstance, parts: Pick<ApiParts, 'health' | 'authenticator'>): void {
  const config = { open: true };
  app.route({
    method: ['GET', 'HEAD'],
    url: '/healthcheck',
    config: { ...config, summary: 'Is the service ready to work' },
    handler: async (request, reply) => {
      const report = await parts.health(request.socket.localPort);
      const wantsDetails = request.headers.accept?.includes('application/json') === true;
      const mayHaveDetails = wantsDetails && (await isAdministrator(parts, request));
      return mayHaveDetails ? sendDetails(report, reply) : sendSentence(report, request, reply);
    },
  });
  app.get('/healthcheck/live', { config: { ...config, summary: 'Does the service answer' } }, (_request, reply) =>
    reply.type(TEXT).send('OK'),
  );
}

async function isAdministrator(
  { authenticator }: Pick<ApiParts, 'authenticator'>,
  request: FastifyRequest,
): Promise<boolean> {
  return authenticator.authenticate(callHeaders(request)).then(
    (caller) => caller.isAdmin,
    () => false,
  );
}

/** Every check of a report, as JSON. */
export function sendDetails(report: HealthReport, reply: FastifyReply): FastifyReply {
  const checks = report.checks.map(({ name, fault }) => ({
    name,
    ok: fault === undefined,
    ...(fault === undefined ? {} : { fault }),
  }));
  return reply.code(statusOf(report)).send({ ready: statusOf(report) === 200, disabled: report.disabled, checks });
}

function sendSentence(report: HealthReport, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const status = statusOf(report);
  if (status === 200 && request.method === 'HEAD') return reply.code(204).send();
  const fault = report.disabled ? DISABLED : report.checks.find((check) => check.fault !== undefined)?.fault;
  return reply
    .code(status)
    .type(TEXT)
    .send(fault === undefined ? 'OK' : `${fault}\n`);
}

function statusOf({ disabled, checks }: HealthReport): number {
  return disabled || checks.some(({ fault }) => fault !== undefined) ? 503 : 200;
}
