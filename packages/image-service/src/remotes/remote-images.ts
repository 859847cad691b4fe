import type { AddressRule } from '../net/address-rules.ts';
import { addressRule } from '../net/address-rules.ts';
import type { Download, DownloadWork, OpenedDownload, WebSource } from '../staging/download.ts';
import { openWebSource } from '../staging/download.ts';
import { StagingError } from '../staging/errors.ts';
import type { RemoteDescription } from './remote-description.ts';
import { readDescription } from './remote-description.ts';

/** An image of another image service. JSON. */
export type RemoteSource = {
  /** Of the service, without the version. */
  readonly url: string;
  readonly image_id: string;
  readonly region: string;
  /** Who named the service: our own configuration, or the identity service's catalogue. */
  readonly named_by: 'configuration' | 'catalogue';
  /** The caller's token, sealed; null: it is not sent. */
  readonly sealed_token: string | null;
};

/** Asks other image services. */
export interface RemoteImages {
  /** Throws `blocked_address`, `download_failed`, `bad_source`. */
  describe(source: RemoteSource, signal: AbortSignal): Promise<RemoteDescription>;
  /** As `Download.open`; what is cut off goes on where it was, because the data of an image does not change. */
  download(source: RemoteSource, work: DownloadWork): ReturnType<Download['open']>;
}

/** How other image services are asked. */
export interface RemoteRules {
  /** Private addresses and networks that services of the catalogue may have. */
  readonly allowedAddresses: readonly string[];
  /** Beginnings of names of properties that are taken over. */
  readonly properties: readonly string[];
  /** Tokens of our own, by region. */
  readonly tokens: ReadonlyMap<string, string>;
  /** The token in a seal; undefined when it cannot be opened. */
  readonly openSeal: (sealed: string) => string | undefined;
  /** Certificates of the authorities that are trusted, PEM; the system's when absent. */
  readonly authorities?: string;
  /** Milliseconds without a byte after which the other side is given up. */
  readonly stallMs: number;
}

/** Bytes of the description of an image. */
const MAX_DESCRIPTION_BYTES = 1024 * 1024;

/** Other image services under these rules. A service may lead to no other one: what it is asked with is for it alone. */
export function remoteImages(rules: RemoteRules): RemoteImages {
  return {
    async describe(source, signal) {
      const work = { maxBytes: MAX_DESCRIPTION_BYTES, signal, onBytes: () => {} };
      const { bytes } = await asking(openWebSource(sourceAt(rules, source, ''), work));
      const pieces: Uint8Array[] = [];
      for await (const piece of bytes) pieces.push(piece);
      return readDescription(Buffer.concat(pieces).toString('utf8'), rules.properties);
    },
    download: (source, work) => asking(openWebSource(sourceAt(rules, source, '/file'), work)),
  };
}

function sourceAt(rules: RemoteRules, source: RemoteSource, what: string): WebSource {
  const base = source.url.replace(/\/+$/, '').replace(/\/v2$/, '');
  const url = URL.parse(`${base}/v2/images/${encodeURIComponent(source.image_id)}${what}`);
  if (url === null) throw new StagingError('bad_source', 'The address of the other image service cannot be used');
  const { authorities, stallMs } = rules;
  return {
    url,
    mayReach: reachRule(rules, source),
    checkUrl: ({ origin }) => {
      if (origin === url.origin) return;
      throw new StagingError('blocked_address', 'The other image service leads to another place');
    },
    stallMs,
    headers: tokenHeaders(rules, source),
    lastsUnchanged: true,
    ...(authorities === undefined ? {} : { authorities }),
  };
}

/** What the operator names in our own configuration may be anywhere. */
function reachRule({ allowedAddresses }: RemoteRules, { named_by }: RemoteSource): AddressRule {
  return named_by === 'configuration' ? () => true : addressRule(allowedAddresses);
}

function tokenHeaders(
  { tokens, openSeal }: RemoteRules,
  { region, named_by, sealed_token: sealed }: RemoteSource,
): Readonly<Record<string, string>> {
  const own = named_by === 'configuration' ? tokens.get(region) : undefined;
  if (own !== undefined) return { 'x-auth-token': own };
  if (sealed === null) return {};
  const token = openSeal(sealed);
  if (token !== undefined) return { 'x-auth-token': token };
  throw new StagingError('download_failed', 'The token of the call can no longer be used; import the image again');
}

/** What an answer with an error means here. */
async function asking(opening: Promise<OpenedDownload>): Promise<OpenedDownload> {
  try {
    return await opening;
  } catch (error) {
    const { code } = error instanceof StagingError && error.answer !== undefined ? { code: error.answer } : { code: 0 };
    const meaning = MEANINGS[code];
    if (meaning === undefined) throw error;
    throw new StagingError('download_failed', `The other image service ${meaning}`, error);
  }
}

const MEANINGS: Readonly<Record<number, string>> = {
  204: 'has no data of the image',
  401: 'does not take the token of the call, or takes it no longer',
  403: 'does not let the caller have the image',
  404: 'does not have the image, or not for the caller',
};
