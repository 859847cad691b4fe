import type { ByteSource } from '../../bytes/byte-source.ts';
import { readBytes } from '../../bytes/byte-source.ts';
import type { DynamicHeader, ParentLocator } from './dynamic-header.ts';
import { MAX_PARENT_LOCATOR_BYTES } from './limits.ts';

/** Where a parent is said to lie, by one locator of its child. */
export interface ParentPath {
  readonly platformCode: string;
  /** The path with `/` between its parts. */
  readonly path: string;
}

/** The kinds that hold a path, best first. VHD Image Format Specification 1.0, "Parent Locator Entry". */
const PATH_DECODERS: readonly (readonly [string, (bytes: Uint8Array) => string])[] = [
  ['W2ru', windowsPath],
  ['MacX', fileUrlPath],
  ['W2ku', windowsPath],
];

/**
 * The paths of all locators that lie inside the file, best first: relative to the child, a file URL, an absolute Windows
 * path. Locators of other kinds hold no path that means anything here.
 */
export async function readParentPaths(source: ByteSource, header: DynamicHeader): Promise<readonly ParentPath[]> {
  const paths: ParentPath[] = [];
  for (const [platformCode, decode] of PATH_DECODERS) {
    for (const locator of header.parentLocators) {
      if (locator.platformCode !== platformCode || !isReadable(source, locator)) continue;
      const path = decode(await readBytes(source, locator.dataOffset, locator.dataLength));
      if (path !== '') paths.push({ platformCode, path });
    }
  }
  return paths;
}

function isReadable(source: ByteSource, { dataOffset, dataLength }: ParentLocator): boolean {
  return dataLength <= MAX_PARENT_LOCATOR_BYTES && dataOffset + dataLength <= source.size;
}

function windowsPath(bytes: Uint8Array): string {
  return withoutPadding(new TextDecoder('utf-16le').decode(bytes)).replaceAll('\\', '/');
}

/** `file://localhost/dir/base.vhd` and `file://./base.vhd`: what stands behind the scheme and the own host. */
function fileUrlPath(bytes: Uint8Array): string {
  const text = withoutPadding(new TextDecoder().decode(bytes));
  const path = text.replace(/^file:\/\/(?:localhost(?=\/))?/i, '');
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function withoutPadding(text: string): string {
  return text.replace(/\0+$/, '');
}
