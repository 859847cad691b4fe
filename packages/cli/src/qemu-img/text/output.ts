import { writeSync } from 'node:fs';

const STANDARD_OUTPUT = 1;
const STANDARD_ERROR = 2;
/** As the shell shows a program whose reader went away. */
const READER_GONE = 141;
const RETRY_MS = 5;

/** Writes to standard output, all of it, now. Ends the program when nobody reads any more. */
export function out(text: string): void {
  write(STANDARD_OUTPUT, text);
}

/** Writes to standard error. */
export function note(text: string): void {
  write(STANDARD_ERROR, text);
}

function write(fd: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EPIPE') process.exit(READER_GONE);
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}
