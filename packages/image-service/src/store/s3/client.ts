import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';

/** How an S3 server is reached. */
export interface S3Connection {
  /** `http://` or `https://`, host and port. */
  readonly endpoint: string;
  /** What the server calls itself in signatures; most servers take `us-east-1`. */
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** The bucket in the path, or as a part of the host's name. */
  readonly addressing: 'path' | 'virtual';
  /** Certificates of the authorities that are trusted, PEM; the system's when absent. */
  readonly authorities?: string;
  /** For a connection to be made. */
  readonly connectTimeoutMs: number;
  /** For a connection on which nothing moves. */
  readonly idleTimeoutMs: number;
  /** How often a call is made in all before its failure counts. */
  readonly attempts: number;
  /** Connections at the same time. */
  readonly connections: number;
}

/**
 * A client of the server. Checksums beyond those that S3 always had are sent only where a call demands them: older
 * servers refuse them. Contents are sent with their MD5 instead, which every server checks.
 */
export function s3Client(connection: S3Connection): S3Client {
  const agent = { keepAlive: true, maxSockets: connection.connections };
  const trusted = connection.authorities === undefined ? {} : { ca: connection.authorities };
  return new S3Client({
    endpoint: connection.endpoint,
    region: connection.region,
    credentials: { accessKeyId: connection.accessKey, secretAccessKey: connection.secretKey },
    forcePathStyle: connection.addressing === 'path',
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: connection.attempts,
    requestHandler: new NodeHttpHandler({
      connectionTimeout: connection.connectTimeoutMs,
      socketTimeout: connection.idleTimeoutMs,
      httpAgent: new HttpAgent(agent),
      httpsAgent: new HttpsAgent({ ...agent, ...trusted }),
    }),
  });
}
