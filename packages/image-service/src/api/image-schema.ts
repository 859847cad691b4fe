import { IMAGE_STATUSES, VISIBILITIES } from '../catalog/image.ts';
import { MEMBER_STATUSES } from '../catalog/member.ts';
import { TASK_STATUSES, TASK_TYPES } from '../catalog/task.ts';
import type { ApiSettings } from './api-parts.ts';

/** A JSON schema as plain data. */
export type JsonSchema = { readonly [key: string]: unknown };

/** The largest integer that clients and databases agree upon. */
const MAX_INTEGER = 2_147_483_647;
const UUID = '^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$';

const TEXT = { type: 'string' };
const READ_ONLY_TEXT = { type: 'string', readOnly: true };
const READ_ONLY_NUMBER = { type: ['null', 'integer'], readOnly: true };

/**
 * The schema of an image, as it is served and as images are checked against it. `stores` is not in it: the `glance` program
 * makes an option of everything that is, and has one of that name already.
 */
export function imageSchema({ diskFormats, containerFormats }: ApiSettings): JsonSchema {
  return {
    name: 'image',
    properties: {
      id: { type: 'string', pattern: UUID, description: 'An identifier for the image' },
      name: { type: ['null', 'string'], maxLength: 255, description: 'Descriptive name for the image' },
      status: { ...READ_ONLY_TEXT, enum: [...IMAGE_STATUSES], description: 'Status of the image' },
      visibility: { type: 'string', enum: [...VISIBILITIES], description: 'Scope of image accessibility' },
      protected: { type: 'boolean', description: 'If true, the image cannot be deleted' },
      os_hidden: { type: 'boolean', description: 'If true, the image is left out of lists unless asked for' },
      checksum: { type: ['null', 'string'], readOnly: true, maxLength: 32, description: 'md5 of the image data' },
      os_hash_algo: {
        type: ['null', 'string'],
        readOnly: true,
        maxLength: 64,
        description: 'Algorithm of os_hash_value',
      },
      os_hash_value: {
        type: ['null', 'string'],
        readOnly: true,
        maxLength: 128,
        description: 'Digest of the image data',
      },
      owner: { type: ['null', 'string'], maxLength: 255, description: 'Project that the image belongs to' },
      size: { ...READ_ONLY_NUMBER, description: 'Bytes of the image data' },
      virtual_size: { ...READ_ONLY_NUMBER, description: 'Bytes of the disk that a guest sees' },
      container_format: {
        type: ['null', 'string'],
        enum: [null, ...containerFormats],
        description: 'Format of the container',
      },
      disk_format: { type: ['null', 'string'], enum: [null, ...diskFormats], description: 'Format of the disk' },
      created_at: { ...READ_ONLY_TEXT, description: 'Time of the registration of the image' },
      updated_at: { ...READ_ONLY_TEXT, description: 'Time of the last change of the image' },
      tags: {
        type: 'array',
        items: { type: 'string', maxLength: 255 },
        description: 'Words that the image can be found by',
      },
      direct_url: { ...READ_ONLY_TEXT, description: 'Where the data lies in its store' },
      min_ram: { type: 'integer', minimum: 0, maximum: MAX_INTEGER, description: 'MB of memory that the image needs' },
      min_disk: { type: 'integer', minimum: 0, maximum: MAX_INTEGER, description: 'GB of disk that the image needs' },
      self: { ...READ_ONLY_TEXT, description: 'An image self url' },
      file: { ...READ_ONLY_TEXT, description: 'An image file url' },
      schema: { ...READ_ONLY_TEXT, description: 'An image schema url' },
      locations: { type: 'array', items: { type: 'object' }, description: 'Where the data lies' },
    },
    additionalProperties: TEXT,
    links: [
      { rel: 'self', href: '{self}' },
      { rel: 'enclosure', href: '{file}' },
      { rel: 'describedby', href: '{schema}' },
    ],
  };
}

/** The schema of one member of an image. */
export const MEMBER_SCHEMA: JsonSchema = {
  name: 'member',
  properties: {
    member_id: { ...TEXT, description: 'The project that the image is shared with' },
    image_id: { ...TEXT, pattern: UUID, description: 'An identifier for the image' },
    created_at: { ...READ_ONLY_TEXT, description: 'Time of the sharing' },
    updated_at: { ...READ_ONLY_TEXT, description: 'Time of the last change' },
    status: { ...TEXT, enum: [...MEMBER_STATUSES], description: 'How the project answered' },
    schema: READ_ONLY_TEXT,
  },
};

/** The schema of one task. */
export const TASK_SCHEMA: JsonSchema = {
  name: 'task',
  properties: {
    id: { ...TEXT, pattern: UUID, description: 'An identifier for the task' },
    type: { ...TEXT, enum: [...TASK_TYPES], description: 'What the task does' },
    status: { ...READ_ONLY_TEXT, enum: [...TASK_STATUSES], description: 'How far the task is' },
    input: { type: ['null', 'object'], description: 'What was asked for' },
    result: { type: ['null', 'object'], readOnly: true, description: 'What came of it' },
    owner: { type: ['null', 'string'], description: 'The project that began the task' },
    message: { type: ['null', 'string'], readOnly: true, description: 'Why the task failed, or what is worth knowing' },
    image_id: { type: ['null', 'string'], description: 'The image that the task is about' },
    request_id: { type: ['null', 'string'], description: 'The call that began the task' },
    user_id: { type: ['null', 'string'], description: 'Who began the task' },
    expires_at: { type: ['null', 'string'], readOnly: true, description: 'When the task is forgotten' },
    created_at: READ_ONLY_TEXT,
    updated_at: READ_ONLY_TEXT,
    self: READ_ONLY_TEXT,
    schema: READ_ONLY_TEXT,
  },
};

/** The schema of a page of things; `key` is the name of their list. */
export function pageSchema(key: string, item: JsonSchema): JsonSchema {
  return {
    name: key,
    properties: {
      [key]: { type: 'array', items: item },
      first: TEXT,
      next: TEXT,
      schema: TEXT,
    },
    links: [
      { rel: 'first', href: '{first}' },
      { rel: 'next', href: '{next}' },
      { rel: 'describedby', href: '{schema}' },
    ],
  };
}
