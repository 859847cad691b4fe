import type { FastifyInstance } from 'fastify';

/** Takes no more calls, and lets those under way end within the time; 0: as long as they last. Connections that are left are cut. */
export async function endCalls(app: FastifyInstance, withinMs: number, log: (message: string) => void): Promise<void> {
  const cut = (): void => {
    log(`calls that had not ended after ${withinMs / 1000} seconds were cut off`);
    app.server.closeAllConnections();
  };
  const timer = withinMs === 0 ? undefined : setTimeout(cut, withinMs);
  await app.close();
  clearTimeout(timer);
}
