import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { HttpError } from './http-error.ts';

/** What one caller may take from the service in time and number. */
export interface TransferLimits {
  /** At the same time, in this process; infinite for any number. */
  readonly maxUploads: number;
  readonly maxDownloads: number;
  /** Milliseconds without a byte taken after which the receiver of a download is given up. */
  readonly downloadStallMs: number;
  /** Milliseconds that a call may take to send what is not the data of an image. */
  readonly bodyMs: number;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The call carries the data of an image, in this direction. */
    transfer?: 'upload' | 'download';
  }
}

/** Milliseconds that a call may take to send its headers. */
export const HEADERS_MS = 20_000;
const RETRY_AFTER_SECONDS = 5;

/** Bounds what calls take; to be added after it is known who calls. Too many transfers are answered with 503. */
export function limitTransfers(app: FastifyInstance, limits: TransferLimits): void {
  const running = { upload: 0, download: 0 };
  const most = { upload: limits.maxUploads, download: limits.maxDownloads };
  app.addHook('onRequest', async (request, reply) => {
    const { transfer } = request.routeOptions.config;
    if (transfer !== 'upload') limitBody(request, limits.bodyMs);
    if (transfer === undefined) return;
    if (running[transfer] >= most[transfer]) {
      throw new HttpError(503, `Too many ${transfer}s are under way; try again later`, {
        headers: { 'retry-after': String(RETRY_AFTER_SECONDS) },
      });
    }
    running[transfer] += 1;
    reply.raw.once('close', () => (running[transfer] -= 1));
    if (transfer === 'download') limitStall(reply, limits.downloadStallMs);
  });
}

/** A body that does not come to its end in time ends the connection. */
function limitBody({ raw }: FastifyRequest, bodyMs: number): void {
  const { socket } = raw;
  const timer = setTimeout(() => {
    if (raw.complete) return;
    socket.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n');
    socket.destroySoon();
  }, bodyMs).unref();
  const stop = (): void => clearTimeout(timer);
  raw.once('end', stop);
  raw.once('close', stop);
}

/** A receiver that takes nothing of what waits for it loses the connection. */
function limitStall({ raw, request }: FastifyReply, stallMs: number): void {
  const { socket } = request.raw;
  let seen = socket.bytesWritten;
  const timer = setInterval(() => {
    const stalled = socket.writableLength > 0 && socket.bytesWritten === seen;
    seen = socket.bytesWritten;
    if (stalled) socket.destroy();
  }, stallMs).unref();
  raw.once('close', () => clearInterval(timer));
}
