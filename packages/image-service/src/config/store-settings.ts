import type { TargetFormatName } from './options.ts';

/** What every store has. */
interface CommonSettings {
  readonly id: string;
  readonly description?: string;
  /** What is read first when an image lies in several stores: the highest. */
  readonly weight: number;
  readonly outputFormat?: TargetFormatName;
}

/** A store of files. */
export interface FileStoreSettings extends CommonSettings {
  readonly type: 'file';
  /** At least one. */
  readonly directories: readonly { readonly path: string; readonly weight: number }[];
  readonly layout: 'flat' | 'subdirectories';
}

/** A store on an S3 server. */
export interface S3StoreSettings extends CommonSettings {
  readonly type: 's3';
  /** With its scheme. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly bucket: string;
  readonly createBucket: boolean;
  readonly addressing: 'path' | 'virtual';
  readonly multipartFromBytes: number;
  readonly partBytes: number;
  readonly lanes: number;
  readonly cacert?: string;
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly attempts: number;
}

/** A read-only store of web addresses. */
export interface HttpStoreSettings extends CommonSettings {
  readonly type: 'http';
  readonly cacert?: string;
  /** Addresses and networks (`10.0.0.0/8`) that may be read from although they are private. */
  readonly allowedAddresses: readonly string[];
  readonly idleTimeoutMs: number;
}

/** One store as configured. */
export type StoreSettings = FileStoreSettings | S3StoreSettings | HttpStoreSettings;
