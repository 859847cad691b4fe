import type { RemoteDescription } from '../remotes/remote-description.ts';
import type { RemoteSource } from '../remotes/remote-images.ts';
import { promisedBytes } from '../staging/space.ts';
import { localPath } from '../staging/source-url.ts';
import { ImportError } from './errors.ts';
import { reservedBytes } from './reserved-bytes.ts';
import type { ImportParts } from './stage-context.ts';
import type { BroughtFile } from './staged/staged-data.ts';
import type { ImportInput, Staged } from './state.ts';
import { isStaged } from './state.ts';
import { refuseFormats } from './submit.ts';

/** The bytes of an import, as they came. */
export interface BroughtSource extends Pick<Staged, 'source_host' | 'described'> {
  readonly sizeBytes: number;
}

/** Brings the bytes of an import in, by the way that it was asked for. */
export async function bringSource<T>(
  parts: ImportParts<T>,
  input: ImportInput,
  file: BroughtFile,
): Promise<BroughtSource> {
  const { staging } = parts;
  if (isStaged(input.import_method)) return parts.uploads.bring(input.image_id, file, staging);
  if (input.remote !== undefined) return bringRemote(parts, { input, remote: input.remote, file });
  if (input.import_method !== 'web-download') {
    const { owner, ...copy } = file;
    return staging.bringIn(owner, { from: localPath(input.import_from), ...copy });
  }
  const { signal, maxBytes, onBytes } = file;
  const download = await parts.download.open(input.import_from, { signal, maxBytes, onBytes });
  const expected = download.sizeBytes === undefined ? {} : { expectedBytes: download.sizeBytes };
  const reserved = { imageId: input.image_id, kind: 'stagedBytes', ...expected } as const;
  const { sizeBytes } = await staging.receive(
    file.to,
    promisedBytes(staging, {
      owner: file.owner,
      bytes: reservedBytes(parts.catalog, download.bytes, reserved),
      totalBytes: download.sizeBytes,
      wish: { signal },
    }),
  );
  return { sizeBytes, ...(download.publicHost === undefined ? {} : { source_host: download.publicHost }) };
}

interface RemoteImport {
  readonly input: ImportInput;
  readonly remote: RemoteSource;
  readonly file: BroughtFile;
}

/** Brings an image of another image service, as that service describes it. */
async function bringRemote<T>(parts: ImportParts<T>, { input, remote, file }: RemoteImport): Promise<BroughtSource> {
  const { staging, settings, remotes } = parts;
  const { signal, maxBytes, onBytes } = file;
  const there = await remotes.describe(remote, signal);
  refuseFormats(settings, there);
  const download = await remotes.download(remote, { signal, maxBytes, onBytes });
  await staging.reserve(file.owner, there.sizeBytes);
  const reserved = { imageId: input.image_id, kind: 'stagedBytes', expectedBytes: there.sizeBytes } as const;
  const hashed = staging.hashed(reservedBytes(parts.catalog, download.bytes, reserved), ['md5', 'sha512']);
  const { sizeBytes } = await staging.receive(file.to, hashed.bytes);
  refuseOther(there, { sizeBytes, ...(await hashed.result()).digests });
  const { diskFormat: disk_format, containerFormat: container_format, properties } = there;
  return {
    sizeBytes,
    described: { disk_format, container_format, properties },
    ...(download.publicHost === undefined ? {} : { source_host: download.publicHost }),
  };
}

/** Throws `hash_mismatch` for other bytes than those that were described. */
function refuseOther(
  there: RemoteDescription,
  came: { readonly sizeBytes: number; readonly md5: string; readonly sha512: string },
): void {
  const isSame =
    there.sizeBytes === came.sizeBytes &&
    (there.md5 === null || there.md5 === came.md5) &&
    (there.sha512 === null || there.sha512 === came.sha512);
  if (!isSame) throw new ImportError('hash_mismatch', 'What came is not what the other image service describes');
}
