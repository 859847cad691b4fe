import { readFile } from 'node:fs/promises';
import type { RemoteImageCall } from './api/import-call.ts';
import type { Access } from './auth/access.ts';
import type { Sealer } from './auth/sealed-text.ts';
import { sealer } from './auth/sealed-text.ts';
import { TOKEN_PREFIX } from './auth/tokens/token.ts';
import type { Configuration } from './config/load.ts';
import { ImportError } from './import/errors.ts';
import type { RemoteImages, RemoteSource } from './remotes/remote-images.ts';
import { remoteImages } from './remotes/remote-images.ts';

/** Other image services, as configured. Reads the file of certificates. */
export async function openRemoteImages(configuration: Configuration): Promise<RemoteImages> {
  const { allowedAddresses, tokens, properties, caCertificates } = configuration.imports.remotes;
  return remoteImages({
    allowedAddresses,
    properties,
    tokens,
    openSeal: (sealed) => sealerOf(configuration)?.open(sealed),
    stallMs: configuration.uploadStallTimeout * 1000,
    ...(caCertificates === undefined ? {} : { authorities: await readFile(caCertificates, 'utf8') }),
  });
}

/**
 * The image that the caller means: the service of its region in our own configuration, else that in the catalogue of the
 * caller's token. Throws `invalid_value` when there is none.
 */
export async function findRemote(
  configuration: Configuration,
  { endpoints }: Pick<Access, 'endpoints'>,
  call: RemoteImageCall,
): Promise<RemoteSource> {
  const { imageId, region, token } = call;
  const seal = token === undefined || token.startsWith(TOKEN_PREFIX) ? undefined : sealerOf(configuration)?.seal(token);
  const common = { image_id: imageId, region, sealed_token: seal ?? null };
  const configured = configuration.imports.remotes.endpoints.get(region);
  if (configured !== undefined) return { ...common, url: configured, named_by: 'configuration' };
  if (endpoints !== undefined && seal !== undefined && token !== undefined) {
    const found = (await endpoints(token)).find(
      (endpoint) =>
        endpoint.type === 'image' &&
        endpoint.interface === call.interface &&
        endpoint.region?.toLowerCase() === region.toLowerCase(),
    );
    if (found !== undefined) return { ...common, url: found.url, named_by: 'catalogue' };
  }
  const message = `No image service is known in region ${region.slice(0, 100)} with the interface ${call.interface}`;
  throw new ImportError('invalid_value', message);
}

/** Seals with what every process of the installation knows, and the database does not. */
function sealerOf({ access }: Configuration): Sealer | undefined {
  const credentials = access.keystone?.credentials;
  if (credentials === undefined) return undefined;
  return sealer(credentials.method === 'password' ? credentials.password : credentials.secret);
}
