import type { ByteSource } from '../bytes/byte-source.ts';
import { throwIfAborted } from '../errors.ts';
import { ovfError } from './ovf.ts';
import { safeName, shownName } from './member-name.ts';
import type { HashName, WrapperPorts } from './ports.ts';

export const MAX_MANIFEST_BYTES: number = 4 * 2 ** 20;
const LINE = /^(SHA1|SHA256|SHA512) ?\((.+)\) ?= ?([0-9a-f]+)$/i;
const READ_BYTES = 1024 * 1024;

/** The digest that one file of a package must have. */
export interface ManifestLine {
  readonly name: string;
  readonly hash: HashName;
  /** In lower-case hexadecimal digits. */
  readonly digest: string;
}

/** Every line of a manifest (`.mf`), at most one for each file. Throws `corrupt`. DSP0243, "OVF package: manifest". */
export function parseManifest(bytes: Uint8Array): readonly ManifestLine[] {
  const lines = new Map<string, ManifestLine>();
  for (const text of new TextDecoder().decode(bytes).split('\n')) {
    if (text.trim() === '') continue;
    const line = parseLine(text.trim());
    if (lines.has(line.name)) throw ovfError('corrupt', `The manifest lists ${shownName(line.name)} twice`);
    lines.set(line.name, line);
  }
  return [...lines.values()];
}

function parseLine(text: string): ManifestLine {
  const [, hash = '', name = '', digest = ''] = LINE.exec(text) ?? [];
  if (hash === '') throw ovfError('corrupt', `The manifest has a line that is no digest: ${shownName(text)}`);
  return { name: safeName(name), hash: hash.toLowerCase() as HashName, digest: digest.toLowerCase() };
}

/** Reads the whole of `source` and throws `corrupt` when its digest is not that of the line. */
export async function checkDigest(
  source: ByteSource,
  line: ManifestLine,
  how: { readonly ports: WrapperPorts; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const hash = how.ports.hash(line.hash);
  const piece = new Uint8Array(Math.min(READ_BYTES, source.size));
  for (let at = 0; at < source.size; at += piece.length) {
    throwIfAborted(how.signal);
    const part = piece.subarray(0, Math.min(piece.length, source.size - at));
    await source.read(at, part, how.signal);
    hash.update(part);
  }
  const digest = Array.from(hash.digest(), (byte) => byte.toString(16).padStart(2, '0')).join('');
  if (digest === line.digest) return;
  throw ovfError('corrupt', `The file ${shownName(line.name)} does not have the ${line.hash} that the manifest says`);
}
