import type { FastifyInstance } from 'fastify';

/** How often connections are looked for whose last call has ended meanwhile. */
const SWEEP_MS = 50;

/** Takes no more calls, and lets those under way end within the time; 0: as long as they last. Connections that are left are cut. */
export async function endCalls(app: FastifyInstance, withinMs: number, log: (message: string) => void): Promise<void> {
  const cut = (): void => {
    log(`calls that had not ended after ${withinMs / 1000} seconds were cut off`);
    app.server.closeAllConnections();
  };
  const timer = withinMs === 0 ? undefined : setTimeout(cut, withinMs);
  const sweep = setInterval(() => app.server.closeIdleConnections(), SWEEP_MS);
  await app.close();
  clearInterval(sweep);
  clearTimeout(timer);
}
