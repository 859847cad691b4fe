import type { WritableImageFile } from '../../../image/editor.ts';

/** The same file with a size that costs no system call: it is looked at for every entry of every table. */
export function trackedFile(file: WritableImageFile): WritableImageFile {
  const { source, sink } = file;
  let size = source.size;
  return {
    source: {
      get size() {
        return size;
      },
      read: (offset, into, signal) => source.read(offset, into, signal),
      close: () => source.close(),
    },
    sink: {
      ...(sink.deviceSize === undefined ? {} : { deviceSize: sink.deviceSize }),
      async write(offset, bytes) {
        await sink.write(offset, bytes);
        size = Math.max(size, offset + bytes.length);
      },
      async zero(offset, length) {
        await sink.zero(offset, length);
        size = Math.max(size, offset + length);
      },
      async truncate(length) {
        await sink.truncate(length);
        if (sink.deviceSize === undefined) size = length;
      },
      flush: () => sink.flush(),
      close: () => sink.close(),
    },
  };
}
