import type { JsonSchema } from '../image-schema.ts';

/** The parts of the API, in the order in which the description has them. */
export const TAGS = [
  ['Images', 'Images: registered, listed, changed, deleted.'],
  ['Image data', 'The bytes of images: uploaded, imported, converted, inspected, downloaded.'],
  ['Sharing', 'The projects that an image is shared with.'],
  ['Stores', 'Where the bytes of images lie.'],
  ['Image cache', 'Copies of images that a node keeps, so that it reads remote stores once.'],
  ['Tasks', 'What was asked for, how far it is, and why it failed.'],
  ['Metadata definitions', 'What properties and tags mean to those who use images.'],
  ['Schemas', 'What documents look like; the same schemas check what callers send.'],
  ['Service', 'What this service is and offers, and how it is.'],
] as const;

/** The name of one of `TAGS`. */
export type Tag = (typeof TAGS)[number][0];

/** A value in the query or in a header of a call. */
export interface Parameter {
  readonly name: string;
  readonly says: string;
  /** A text when absent. */
  readonly schema?: JsonSchema;
}

/** What a call sends. */
export interface Body {
  /** Media types. */
  readonly types: readonly string[];
  readonly schema: JsonSchema;
  /** It may be left out. */
  readonly optional?: true;
}

/** What comes back when all is well. */
export interface Answer {
  readonly says: string;
  /** Of a JSON document. */
  readonly schema?: JsonSchema;
  /** Media types of what is no JSON. */
  readonly types?: readonly string[];
  /** Names of headers and what they say. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What there is to say of one operation beyond its summary. */
export interface Operation {
  readonly tag: Tag;
  readonly says?: string;
  readonly query?: readonly Parameter[];
  readonly headers?: readonly Parameter[];
  readonly body?: Body;
  /** By status. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Statuses of errors, beside those that go without saying: see `impliedErrors`. */
  readonly errors?: readonly number[];
}

/** Operations by method and path: `GET /v2/images/{imageId}`. */
export type Operations = Readonly<Record<string, Operation>>;

/** A schema of `components` by its name. */
export function ref(name: string): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}

/** A body that is a JSON document of this schema. */
export function jsonBody(schema: JsonSchema): Body {
  return { types: ['application/json'], schema };
}

/** An answer that is a JSON document of this schema. */
export function json(says: string, schema: JsonSchema): Answer {
  return { says, schema };
}

/** An answer without a body. */
export const EMPTY: Answer = { says: 'Done' };

const COUNT: JsonSchema = { type: 'integer', minimum: 0 };

/** Which page of a list. */
export const PAGE_QUERY: readonly Parameter[] = [
  { name: 'limit', says: 'At most so many', schema: COUNT },
  { name: 'marker', says: 'Only what comes after this one, the last one of the page before' },
];

/** In which order one key puts a list. */
export function sortQuery(...keys: readonly string[]): readonly Parameter[] {
  return [
    { name: 'sort_key', says: 'What to sort by', schema: { type: 'string', enum: keys, default: 'created_at' } },
    {
      name: 'sort_dir',
      says: 'In which direction',
      schema: { type: 'string', enum: ['asc', 'desc'], default: 'desc' },
    },
  ];
}
