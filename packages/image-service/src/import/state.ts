import type { RemoteSource } from '../remotes/remote-images.ts';

/** The ways in which images are imported; `upload`: data that was given directly, and has to be converted. */
export type ImportMethod = 'glance-direct' | 'web-download' | 'glance-download' | 'upload';

/** Does the data lie in the staging area, and is it moved from there? */
export function isStaged(method: unknown): boolean {
  return method === 'glance-direct' || method === 'upload';
}

/** What an import is asked to do: the input of its job. Everything is decided, so that a later configuration changes nothing. */
export type ImportInput = {
  readonly task_type: string;
  readonly image_id: string;
  /** An absolute path or a file: URL; a web address, or what staged data is called, where `import_method` says so. */
  readonly import_from: string;
  /** How the bytes come in: a file that callers have staged, or a download. Absent: a file of this machine is copied. */
  readonly import_method?: ImportMethod;
  /** For `glance-download`. */
  readonly remote?: RemoteSource;
  /** What is imported lies in a container, and is taken out of it; `entry` chooses in an archive. Absent: the file itself. */
  readonly unpack?: { readonly entry: string | null };
  /** The plugin `image_decompression`: what turns out to lie in a container is taken out of it. */
  readonly decompress?: { readonly max_ratio: number; readonly max_bytes: number };
  /** What images are converted to; null: not converted. */
  readonly conversion_format: string | null;
  readonly conversion_options: Readonly<Record<string, string>>;
  /** Also what has the wanted format already is written anew. */
  readonly same_format?: 'convert';
  /** Further forms, for stores that want another format than the rest. */
  readonly other_forms?: readonly WantedForm[];
  /** The plugin `inject_image_metadata`: properties that the image gets when it becomes active. */
  readonly injected?: Readonly<Record<string, string>>;
  /** Ids of stores, in order. */
  readonly stores: readonly string[];
  readonly all_stores_must_succeed: boolean;
  /** Attempts are numbered from here: each task of an image after all earlier ones. Absent in jobs of earlier versions: 0. */
  readonly attempt_base?: number;
};

/** A form that some stores want besides the one that most get. */
export type WantedForm = {
  /** Unique among the forms of an import. */
  readonly key: string;
  /** Null: as the image came. */
  readonly conversion_format: string | null;
  readonly conversion_options: Readonly<Record<string, string>>;
  readonly stores: readonly string[];
};

/** After `stage`: the bytes lie in the scratch directory, and do not change any more. */
export type Staged = {
  /** The file that the next stage works on. */
  readonly file_path: string;
  /** The same file; the conversion puts its result in the place of `file_path`. */
  readonly source_path: string;
  readonly source_size: number;
  /** The image before its conversion: the source, or what was taken out of it. Absent in the states of earlier versions. */
  readonly image_path?: string;
  /** From which machine on the internet the source came; absent when it did not, or when its name is nobody's business. */
  readonly source_host?: string;
  /** What the service that the source came from says of it; absent where none did. */
  readonly described?: DescribedSource;
};

/** What another image service says of an image of its own. */
export type DescribedSource = {
  readonly disk_format: string;
  readonly container_format: string;
  /** Those that are taken over. */
  readonly properties: Readonly<Record<string, string>>;
};

/** After `inspect`: the content is what it was declared to be, and safe. */
export type Inspected = {
  readonly source_format: string;
  /** The content is an ISO 9660 volume, as declared. */
  readonly is_iso: boolean;
  /** Bytes of the guest disk. */
  readonly source_virtual_size: number;
};

/** After `convert`. `file_path` is the result, or the source when there was nothing to convert. */
export type Converted = {
  readonly file_path: string;
  readonly converted: boolean;
  readonly disk_format: string;
  readonly container_format: string;
  /** The guest bytes that were read: their content id and their number; null when nothing was converted. */
  readonly content: { readonly id: string; readonly size: number } | null;
  /** Bytes that an earlier attempt, cut off, had converted already. */
  readonly resumed_from: number;
  /** Why nothing was converted; empty when something was, or when there is nothing to say. */
  readonly conversion_note: string;
};

/** A file that is stored: what it is, and its digests in hex. */
export type MadeForm = {
  readonly file_path: string;
  readonly converted: boolean;
  readonly disk_format: string;
  readonly container_format: string;
  readonly size: number;
  /** Null: no disk that a guest sees. */
  readonly virtual_size: number | null;
  /** MD5. */
  readonly checksum: string;
  /** SHA-512. */
  readonly os_hash_value: string;
};

/** The further forms, by their keys: first converted, then verified. */
export type OtherForms = {
  readonly other_converted?: Readonly<Record<string, Converted>>;
  readonly other_made?: Readonly<Record<string, MadeForm>>;
};

/** One store that has the image. */
export type FilledStore = { readonly store: string; readonly location: string };

/** After `verify`, and after each `store`: what is to be stored, and where it is already. */
export type Verified = {
  readonly size: number;
  readonly virtual_size: number;
  /** MD5, in hex. */
  readonly checksum: string;
  /** SHA-512, in hex. */
  readonly os_hash_value: string;
  /** SHA-512 of the source's bytes, in hex. */
  readonly source_hash: string;
} & Stored;

/** Why a store does not have the image: the code and the message of its error. */
export type StoreFailure = { readonly store: string; readonly code: string; readonly message: string };

/** Which stores have the image, and which could not be filled. */
export type Stored = {
  readonly filled_stores: readonly FilledStore[];
  readonly failed_stores: readonly string[];
  /** Of the failed stores; absent in the states of earlier versions. */
  readonly store_failures?: readonly StoreFailure[];
};
