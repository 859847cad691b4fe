import type { ImageInFormat } from '../image-tools.ts';

/** Images in other formats that have been sent, and of which another part may be asked for soon. */
export interface IdleReaders {
  /** One for this key that nobody else gets then. */
  take(key: string): ImageInFormat | undefined;
  /** Keeps it for a moment, or closes it. */
  put(key: string, image: ImageInFormat): void;
  /** Closes those whose keys begin so. */
  forget(beginning: string): void;
  close(): void;
}

interface IdleReader {
  readonly key: string;
  readonly image: ImageInFormat;
  readonly timer: NodeJS.Timeout;
}

/** Who reads one part after the other asks again by then. */
const IDLE_MS = 5000;

/** Keeps at most so many, those that came last. */
export function idleReaders(most: number): IdleReaders {
  const idle: IdleReader[] = [];
  const remove = (one: IdleReader): void => {
    clearTimeout(one.timer);
    idle.splice(idle.indexOf(one), 1);
  };
  const end = (one: IdleReader): void => {
    remove(one);
    one.image.close();
  };
  return {
    take(key) {
      const one = idle.find((each) => each.key === key);
      if (one === undefined) return undefined;
      remove(one);
      if (one.image.alive) return one.image;
      one.image.close();
      return undefined;
    },
    put(key, image) {
      const one: IdleReader = { key, image, timer: setTimeout(() => end(one), IDLE_MS).unref() };
      idle.push(one);
      for (const oldest of idle.slice(0, Math.max(0, idle.length - most))) end(oldest);
    },
    forget(beginning) {
      for (const one of idle.filter(({ key }) => key.startsWith(beginning))) end(one);
    },
    close() {
      while (idle[0] !== undefined) end(idle[0]);
    },
  };
}
