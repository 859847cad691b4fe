import type { FormatName } from '@diskmorph/disk-image';
import { parseOptionString } from '../arguments/option-string.ts';
import { parseByteCount } from '../arguments/size.ts';
import { Failure } from '../failure.ts';
import { findDriver } from '../format-names.ts';
import type { Json } from '../text/json-text.ts';
import { jsonLine } from '../text/json-text.ts';

/** Where an image lies and how it is to be read: what a file name or a set of options comes to. */
export interface ImageLocation {
  /** As the caller gave it; for messages. */
  readonly given: string;
  /** The file on the local file system. */
  readonly path: string;
  /** What `info` shows as the file's name. */
  readonly shownName: string;
  /** The format that the name itself states. */
  readonly format?: FormatName;
  /** The part of the file that is the disk; raw images only. */
  readonly window?: FileWindow;
  /** False when the options say that no backing image is to be used. */
  readonly hasBacking: boolean;
}

/** Bytes of a file. */
export interface FileWindow {
  readonly offset: number;
  /** Up to the end of the file when absent. */
  readonly size?: number;
}

/** How a name on the command line is to be understood. */
export interface NameReading {
  /** The name is a set of options (`--image-opts`). */
  readonly asOptions: boolean;
  /** The value of `-f`. */
  readonly format: string | undefined;
}

/** The location that a name on the command line means. Throws a failure for what is not a local file. */
export function readImageName(given: string, reading: NameReading): ImageLocation {
  const location = reading.asOptions ? fromOptions(given) : fromName(given);
  const { format } = reading;
  if (format === undefined) return location;
  if (reading.asOptions) throw new Failure('--image-opts and --format are mutually exclusive');
  const driver = findDriver(format);
  if (driver === undefined) throw new Failure(`Could not open '${given}': Unknown driver '${format}'`);
  if (location.format !== undefined && location.format !== driver.name) {
    throw new Failure(`Could not open '${given}': Driver specified twice`);
  }
  return { ...location, format: driver.name };
}

/** The location of a plain file name, of `file:NAME`, or of `json:{...}`. */
export function fromName(given: string): ImageLocation {
  if (given.startsWith('json:')) return fromJson(given);
  const path = localPath(given);
  if (path === undefined) throw new Failure(`Could not open '${given}': Unknown protocol '${protocolOf(given)}'`);
  return { given, path, shownName: path, hasBacking: true };
}

/** The local path that a file name means; undefined when it names a protocol. */
export function localPath(name: string): string | undefined {
  if (name.startsWith('file:')) return name.slice('file:'.length);
  return protocolOf(name) === undefined ? name : undefined;
}

function protocolOf(name: string): string | undefined {
  return /^([^/:]+):/.exec(name)?.[1];
}

function fromJson(given: string): ImageLocation {
  let parsed: unknown;
  try {
    parsed = JSON.parse(given.slice('json:'.length));
  } catch {
    throw new Failure(`Could not open '${given}': Could not parse the JSON options`);
  }
  const options = new Map<string, string | null>();
  flatten(parsed, '', options);
  return fromMap(given, options);
}

const MAX_DEPTH = 16;

function flatten(value: unknown, prefix: string, into: Map<string, string | null>, depth: number = 0): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && depth < MAX_DEPTH) {
    for (const [key, member] of Object.entries(value)) {
      flatten(member, prefix === '' ? key : `${prefix}.${key}`, into, depth + 1);
    }
  } else into.set(prefix, value === null ? null : String(value));
}

function fromOptions(given: string): ImageLocation {
  const options = new Map<string, string | null>();
  for (const { name, value } of parseOptionString(given)) {
    if (value === undefined) {
      throw new Failure(`Could not open '${given}': Cannot find device='${name}' nor node-name='${name}'`);
    }
    options.set(name, value);
  }
  return fromMap(given, options);
}

const FILE_DRIVERS: ReadonlySet<string> = new Set(['file', 'host_device']);
/** How a caller wants a file opened changes nothing for a reader. */
const HARMLESS =
  /^(?:file\.)?(?:read-only|auto-read-only|force-share|locking|cache\..*|aio|detect-zeroes|discard|node-name)$/;

function fromMap(given: string, options: ReadonlyMap<string, string | null>): ImageLocation {
  const refuse = (why: string): Failure => new Failure(`Could not open '${given}': ${why}`);
  const driver = options.get('driver') ?? undefined;
  const isFile = driver !== undefined && FILE_DRIVERS.has(driver);
  const nameKey = isFile ? 'filename' : 'file.filename';
  const known = new Set(['driver', nameKey, 'file', 'file.driver', 'offset', 'size', 'backing']);
  const fileDriver = options.get('file.driver') ?? 'file';
  if (!FILE_DRIVERS.has(fileDriver)) throw refuse(`Unknown protocol '${fileDriver}'; only local files are opened`);
  for (const name of options.keys()) {
    if (known.has(name) || HARMLESS.test(name)) continue;
    if (name.endsWith('key-secret')) throw refuse('Encrypted images cannot be read');
    throw refuse(`Block driver '${driver ?? 'file'}' does not support the option '${name}'`);
  }
  const path = options.get(nameKey) ?? options.get('file') ?? undefined;
  if (path === undefined) throw refuse(`A block device must be specified for "file"`);
  const format = driver === undefined || isFile ? undefined : findDriver(driver);
  if (driver !== undefined && !isFile && format === undefined) throw refuse(`Unknown driver '${driver}'`);
  const window = readWindow(options, refuse);
  if (window !== undefined && format?.name !== 'raw') throw refuse('offset and size need the driver raw');
  const backing = options.get('backing');
  if (backing !== undefined && backing !== null && backing !== '') throw refuse('A backing node cannot be chosen');
  return {
    given,
    path,
    shownName: window === undefined ? path : windowName(path, options),
    ...(format === undefined ? {} : { format: format.name }),
    ...(isFile ? { format: 'raw' as const } : {}),
    ...(window === undefined ? {} : { window }),
    hasBacking: backing === undefined,
  };
}

function readWindow(
  options: ReadonlyMap<string, string | null>,
  refuse: (why: string) => Failure,
): FileWindow | undefined {
  const number = (name: string): number | undefined => {
    const text = options.get(name);
    if (text === undefined || text === null) return undefined;
    const bytes = parseByteCount(text);
    if (typeof bytes === 'bigint' && bytes <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(bytes);
    throw refuse(`Parameter '${name}' expects a size`);
  };
  const offset = number('offset');
  const size = number('size');
  if (offset === undefined && size === undefined) return undefined;
  return { offset: offset ?? 0, ...(size === undefined ? {} : { size }) };
}

function windowName(path: string, options: ReadonlyMap<string, string | null>): string {
  const value = (name: string): Json | undefined => {
    const text = options.get(name);
    if (text === undefined || text === null) return undefined;
    return /^\d+$/.test(text) ? Number(text) : text;
  };
  const file = { driver: options.get('file.driver') ?? 'file', filename: path };
  return `json:${jsonLine({ offset: value('offset'), driver: 'raw', size: value('size'), file })}`;
}
