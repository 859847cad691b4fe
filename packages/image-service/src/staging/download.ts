import type { AddressRule } from '../net/address-rules.ts';
import { addressRule, watchedRule } from '../net/address-rules.ts';
import type { GotAnswer } from '../net/guarded-get.ts';
import { GetError, guardedGet } from '../net/guarded-get.ts';
import { StagingError } from './errors.ts';
import { limitedBytes } from './incoming.ts';

/** What is wanted and what is not; what is refused counts only where nothing is allowed by name. */
export interface NameRule {
  readonly allowed: readonly string[];
  readonly refused: readonly string[];
}

/** From where images may be downloaded. */
export interface DownloadRules {
  readonly schemes: NameRule;
  readonly hosts: NameRule;
  readonly ports: NameRule;
  /** Private addresses and networks that may be reached all the same. */
  readonly openedAddresses: readonly string[];
  /** Milliseconds without a byte after which the other side is given up. */
  readonly stallMs: number;
}

/** How a download is watched. */
export interface DownloadWork {
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  readonly onBytes: (done: number, total: number) => void;
}

/** A download that has begun. */
export interface OpenedDownload {
  /** As the other side announced it. */
  readonly sizeBytes: number | undefined;
  /** The machine that was asked, by its name; absent when it, or one that it led to, has a private address. */
  readonly publicHost?: string;
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** Brings images from web addresses. */
export interface Download {
  /** Throws `blocked_address`, `bad_source` for an address that may not be asked. */
  check(address: string): void;
  /** Throws `blocked_address`, `bad_source`, `download_failed`, `too_large`; so do the bytes, and `stalled`, `cut_off`. */
  open(address: string, work: DownloadWork): Promise<OpenedDownload>;
}

/** How often a download that was cut off goes on where it was. */
const MAX_RESUMES = 5;

/** Downloads under these rules; every address is checked when a connection is made, also after redirects. */
export function webDownload(rules: DownloadRules): Download {
  const mayReach = addressRule(rules.openedAddresses);
  const checkUrl = (url: URL): void => refuseUrl(rules, url);
  const check = (address: string): URL => {
    const url = URL.parse(address);
    if (url === null) throw new StagingError('bad_source', 'The source is no web address');
    if (url.username !== '' || url.password !== '') {
      throw new StagingError('bad_source', 'The address of the source must hold no credentials');
    }
    checkUrl(url);
    return url;
  };
  return {
    check: (address) => void check(address),
    open: async (address, work) =>
      openWebSource({ url: check(address), mayReach, checkUrl, stallMs: rules.stallMs }, work),
  };
}

/** What is downloaded, and how it may be reached. */
export interface WebSource {
  readonly url: URL;
  readonly mayReach: AddressRule;
  /** Asked about the address and each that it redirects to; throws for those that are not wanted. */
  readonly checkUrl: (url: URL) => void;
  readonly stallMs: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** What lies there never changes: it goes on where it was cut off without being told that it is the same. */
  readonly lastsUnchanged?: true;
  /** Certificates of the authorities that are trusted, PEM; the system's when absent. */
  readonly authorities?: string;
}

/** Begins a download. Throws as `Download.open` does. */
export async function openWebSource(wanted: WebSource, work: DownloadWork): Promise<OpenedDownload> {
  const watched = watchedRule(wanted.mayReach);
  const source = { ...wanted, mayReach: watched.mayReach };
  const first = await got(source, work, {});
  const sizeBytes = announcedSize(first);
  if (sizeBytes !== undefined && sizeBytes > work.maxBytes) {
    first.discard();
    throw new StagingError('too_large', `The source has ${sizeBytes} bytes, at most ${work.maxBytes} are accepted`);
  }
  const limits = {
    maxBytes: work.maxBytes,
    stallMs: source.stallMs,
    ...(sizeBytes === undefined ? {} : { expectedBytes: sizeBytes }),
  };
  return {
    sizeBytes,
    ...(watched.onlyPublic() ? { publicHost: source.url.hostname } : {}),
    bytes: reported(limitedBytes(resumed(source, work, first), limits), work, sizeBytes),
  };
}

async function got(
  source: WebSource,
  { signal }: DownloadWork,
  headers: Readonly<Record<string, string>>,
): Promise<GotAnswer> {
  const { url, mayReach, checkUrl, stallMs, authorities } = source;
  try {
    const answer = await guardedGet({
      url,
      mayReach,
      checkUrl,
      headers: { ...source.headers, ...headers },
      idleTimeoutMs: stallMs,
      signal,
      ...(authorities === undefined ? {} : { authorities }),
    });
    if (answer.code === 200 || answer.code === 206) return answer;
    answer.discard();
    throw new StagingError('download_failed', `The source answered with ${answer.code}`, undefined, answer.code);
  } catch (error) {
    throw downloadFault(error);
  }
}

function downloadFault(error: unknown): unknown {
  if (!(error instanceof GetError)) return error;
  const code = error.code === 'forbidden' ? 'blocked_address' : 'download_failed';
  return new StagingError(code, `The source could not be read: ${error.message}`, error);
}

function announcedSize({ headers }: GotAnswer): number | undefined {
  const text = headers['content-length'];
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** The body, taken up again where it was cut off, as long as the other side still has the same thing. */
async function* resumed(source: WebSource, work: DownloadWork, first: GotAnswer): AsyncGenerator<Uint8Array> {
  const etag = first.headers.etag;
  let answer = first;
  let done = 0;
  for (let resumes = 0; ; resumes++) {
    try {
      for await (const piece of answer.body) {
        done += piece.length;
        yield piece;
      }
      return;
    } catch (error) {
      const condition = sameness(source, etag);
      if (!(error instanceof GetError) || condition === undefined || resumes >= MAX_RESUMES) throw downloadFault(error);
      answer = await got(source, work, { range: `bytes=${done}-`, ...condition });
      if (answer.code !== 206 || !String(answer.headers['content-range']).startsWith(`bytes ${done}-`)) {
        answer.discard();
        throw new StagingError('source_changed', 'The source was changed, or cannot go on where it was cut off');
      }
    }
  }
}

/** By which header a source that is asked again says that it is still the same; undefined when it cannot. */
function sameness({ lastsUnchanged }: WebSource, etag: string | undefined): Record<string, string> | undefined {
  if (etag !== undefined && !etag.startsWith('W/')) return { 'if-range': etag };
  return lastsUnchanged === true ? {} : undefined;
}

async function* reported(
  bytes: AsyncIterable<Uint8Array>,
  { onBytes }: DownloadWork,
  total: number | undefined,
): AsyncGenerator<Uint8Array> {
  let done = 0;
  for await (const piece of bytes) {
    yield piece;
    done += piece.length;
    onBytes(done, total ?? done);
  }
}

/** Throws `blocked_address` for what the rules do not want. */
function refuseUrl(rules: DownloadRules, url: URL): void {
  const scheme = url.protocol.slice(0, -1);
  const port = url.port === '' ? (scheme === 'https' ? '443' : '80') : url.port;
  if (wants(rules.schemes, scheme) && wants(rules.hosts, url.hostname) && wants(rules.ports, port)) return;
  throw new StagingError('blocked_address', 'Images may not be downloaded from this address');
}

function wants({ allowed, refused }: NameRule, name: string): boolean {
  return allowed.length > 0 ? allowed.includes(name) : !refused.includes(name);
}
