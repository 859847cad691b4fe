/** A process that reads images for the service; the argument is the number of threads for one conversion, 0: as the machine has them. */
import { nodeImageTools } from '../node-image-tools.ts';
import { serveReader } from './serve-reader.ts';

const threads = Number(process.argv[2] ?? 0);
serveReader(nodeImageTools(threads === 0 ? undefined : threads));
