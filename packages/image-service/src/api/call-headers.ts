import type { FastifyRequest } from 'fastify';
import type { CallHeaders } from '../auth/caller.ts';

/** The headers of a call, for who finds out who sent it; repeated ones joined by commas. */
export function callHeaders({ headers }: Pick<FastifyRequest, 'headers'>): CallHeaders {
  return {
    get: (name) => {
      const value = headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    },
  };
}
