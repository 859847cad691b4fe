import type { Server, ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { callId } from './call-id.ts';
import { errorBody, HttpError } from './http-error.ts';

/** What Node calls what it cannot read, and what that means to a caller. nodejs.org/api/http.html, "clientError". */
const REFUSALS: Readonly<Record<string, HttpError>> = {
  HPE_HEADER_OVERFLOW: new HttpError(431, 'The address and the headers of the call are too long together'),
  HPE_CHUNK_EXTENSIONS_OVERFLOW: new HttpError(413, 'The extensions of a chunk of the body are too long'),
  ERR_HTTP_REQUEST_TIMEOUT: new HttpError(408, 'The headers of the call did not come in time'),
};
const UNREADABLE = new HttpError(400, 'The call is no HTTP that can be read');

/** Answers what is no call at all in the same form as other errors, and ends the connection. */
export function answerClientErrors(server: Server): void {
  const answers = new WeakMap<object, Set<ServerResponse>>();
  server.on('request', ({ socket }, answer) => {
    const open = answers.get(socket) ?? new Set();
    answers.set(socket, open.add(answer));
    answer.on('close', () => open.delete(answer));
  });
  server.removeAllListeners('clientError');
  server.on('clientError', (error: Error & { readonly code?: string }, socket: Socket) => {
    const isAnswering = [...(answers.get(socket) ?? [])].some(({ headersSent }) => headersSent);
    // What is being sent would seem to have gone on with this.
    if (socket.writable && !isAnswering && error.code !== 'ECONNRESET') {
      socket.write(refusalText(REFUSALS[error.code ?? ''] ?? UNREADABLE));
    }
    socket.destroySoon();
  });
}

function refusalText(refusal: HttpError): string {
  const { type, text } = errorBody(refusal, 'application/json');
  const head = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    'Connection: close',
    `Content-Type: ${type}`,
    `Content-Length: ${Buffer.byteLength(text)}`,
    `x-openstack-request-id: ${callId(undefined)}`,
  ];
  return `${head.join('\r\n')}\r\n\r\n${text}`;
}
