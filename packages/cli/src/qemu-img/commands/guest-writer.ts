import type { GuestWriter } from '@diskmorph/disk-image';
import { denyReferences } from '@diskmorph/disk-image';
import { nodeCodecs } from '@diskmorph/disk-image-node';
import { Failure } from '../failure.ts';
import { qemuName } from '../format-names.ts';
import type { KnownImage } from '../image/image-source.ts';
import { withWritableFile } from '../image/writable-file.ts';

/**
 * Opens the guest disk of one image for writing, calls `write`, and brings all to stable storage. When `write` fails,
 * what it has written stays, and the image is closed as properly as can be.
 */
export async function withGuestWriter(
  { location, format }: KnownImage,
  write: (writer: GuestWriter) => Promise<void>,
): Promise<void> {
  const openGuest = format.editor?.openGuest;
  if (openGuest === undefined) {
    throw new Failure(`Images of the format ${qemuName(format.name)} cannot be written in place`);
  }
  await withWritableFile(location.path, location.given, async (file) => {
    const writer = await openGuest(file, { codecs: nodeCodecs(), references: denyReferences });
    try {
      await write(writer);
    } catch (error) {
      await writer.finish().catch(() => undefined);
      throw error;
    }
    await writer.finish();
  });
}
