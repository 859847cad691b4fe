/** Whose bytes a copy has: the image, and the SHA-512 of the bytes in hex. An image whose data changed is another key. */
export interface CopyKey {
  readonly imageId: string;
  readonly digest: string;
}

const ID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const NAME = new RegExp(`^(${ID})\\.([0-9a-f]{128})$`);
const IMAGE_ID = new RegExp(`^${ID}$`);

/** The name of a copy's file: `<image id>.<digest>`. Undefined for a key that cannot be a part of a path. */
export function copyName({ imageId, digest }: CopyKey): string | undefined {
  const name = `${imageId}.${digest}`;
  return NAME.test(name) ? name : undefined;
}

/** The key in a name; undefined for a name that is not of our making. */
export function parseCopyName(name: string): CopyKey | undefined {
  const [, imageId, digest] = NAME.exec(name) ?? [];
  return imageId === undefined || digest === undefined ? undefined : { imageId, digest };
}

/** True of an id that can be a part of a path. */
export function isImageId(id: string): boolean {
  return IMAGE_ID.test(id);
}
