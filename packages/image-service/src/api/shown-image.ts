import type { Caller } from '../auth/caller.ts';
import type { ImageRecord } from '../catalog/image.ts';
import type { AddressedPlace } from '../import/image-places.ts';
import { redactor } from '../telemetry/redact.ts';
import type { ApiParts } from './api-parts.ts';
import { policyTarget } from './image-access.ts';
import type { ImageDocument } from './image-document.ts';
import { imageDocument } from './image-document.ts';

/** What this caller is told of an image: where its data lies only as far as the configuration and `get_image_location` allow. */
export async function shownImage(parts: ApiParts, caller: Caller, image: ImageRecord): Promise<ImageDocument> {
  const document = imageDocument(image);
  const { directUrl, locations } = parts.settings.showsPlaces;
  if ((!directUrl && !locations) || !maySeePlaces(parts, caller, image)) return document;
  const addressed = await parts.places.addressed(image);
  const places = isForThem(parts, caller, image) ? addressed : addressed.map(withoutSecrets);
  const [first] = places;
  return {
    ...document,
    ...(directUrl && first !== undefined ? { direct_url: first.url } : {}),
    ...(locations ? { locations: places.map(placeDocument) } : {}),
  };
}

/** `{"url": ..., "metadata": {"store": ...}}`. */
export function placeDocument({ place, url }: AddressedPlace): Readonly<Record<string, unknown>> {
  return { url, metadata: { ...place.metadata, store: place.store } };
}

function maySeePlaces(parts: ApiParts, caller: Caller, image: ImageRecord): boolean {
  if (image.status === 'deactivated' && !caller.isAdmin) return false;
  return parts.policy.allows('get_image_location', caller, policyTarget(image));
}

/** Addresses of places may hold what lets somebody in: that is for the image's project, and for services that read there. */
function isForThem({ policy }: ApiParts, caller: Caller, image: ImageRecord): boolean {
  if (caller.isAdmin || (image.owner !== null && image.owner === caller.projectId)) return true;
  return policy.allows('fetch_image_location', caller, policyTarget(image));
}

const redact = redactor([]);

function withoutSecrets({ place, url }: AddressedPlace): AddressedPlace {
  return { place, url: redact(url) };
}
