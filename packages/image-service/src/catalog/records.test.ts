import { describe, expect, test } from 'vitest';
import type { ImageRecord, ImageStatus } from './image.ts';
import { changedImage, IMAGE_STATUSES, newImageRecord, refuseReservedProperties, storeList } from './image.ts';
import type { TaskRecord } from './task.ts';
import { changedTask, newTaskRecord, TASK_STATUSES } from './task.ts';

const IMAGE_ARROWS = `
queued: saving uploading importing active deleted
saving: active killed deleted queued
uploading: importing queued deleted
importing: active deleted queued
active: pending_delete deleted deactivated
killed: deleted
pending_delete: deleted active
deactivated: active deleted
deleted:`;
const TASK_ARROWS = `
pending: processing failure
processing: success failure
success:
failure:`;

function allows(arrows: string, from: string, to: string): boolean {
  const line = arrows.split('\n').find((candidate) => candidate.startsWith(`${from}:`));
  return (
    line
      ?.slice(from.length + 1)
      .split(' ')
      .includes(to) ?? false
  );
}

function imageThatIs(status: ImageStatus): ImageRecord {
  const image = newImageRecord({ id: 'a', diskFormat: 'raw', containerFormat: 'bare', size: 5, virtualSize: 6 }, 1);
  return { ...image, status };
}

/** What `change` gives, or the message of what it throws. */
function outcomeOf<T>(change: () => T): T | string {
  try {
    return change();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe('every pair of image states', () => {
  test.each(IMAGE_STATUSES.flatMap((from) => IMAGE_STATUSES.map((to) => ({ from, to }))))(
    '$from -> $to',
    ({ from, to }) => {
      const allowed = from === to || allows(IMAGE_ARROWS, from, to);
      const expected = allowed ? to : `An image that is ${from} cannot become ${to}`;
      expect(outcomeOf(() => changedImage(imageThatIs(from), { status: to }, 2).status)).toBe(expected);
    },
  );
});

describe('every pair of task states', () => {
  const task = newTaskRecord({ id: 't', type: 'import', input: {} }, 1);
  test.each(TASK_STATUSES.flatMap((from) => TASK_STATUSES.map((to) => ({ from, to }))))(
    '$from -> $to',
    ({ from, to }) => {
      const allowed = from === to || allows(TASK_ARROWS, from, to);
      const expected = allowed
        ? { ...task, status: to, revision: 2, updatedAt: 2 }
        : `A task that is ${from} cannot become ${to}`;
      expect(outcomeOf((): TaskRecord => changedTask({ ...task, status: from }, { status: to }, 2))).toEqual(expected);
    },
  );
});

describe('disk_format and container_format', () => {
  test.each(IMAGE_STATUSES)('of an image that is %s', (status) => {
    const settled = status !== 'queued' && status !== 'importing';
    const change = (): ImageRecord =>
      changedImage(imageThatIs(status), { diskFormat: 'qcow2', containerFormat: 'ovf' }, 2);
    const expected = settled
      ? `disk_format and container_format cannot change while the image is ${status}`
      : { ...imageThatIs(status), diskFormat: 'qcow2', containerFormat: 'ovf', revision: 2, updatedAt: 2 };
    expect(outcomeOf(change)).toEqual(expected);
  });

  test('the same value again is no change', () => {
    expect(changedImage(imageThatIs('active'), { diskFormat: 'raw', name: 'n' }, 2)).toMatchObject({ name: 'n' });
  });
});

test('entering queued clears the sizes; staying queued keeps them', () => {
  expect(changedImage(imageThatIs('importing'), { status: 'queued', size: 9 }, 2)).toMatchObject({
    size: null,
    virtualSize: null,
  });
  expect(changedImage(imageThatIs('queued'), { status: 'queued' }, 2)).toMatchObject({ size: 5, virtualSize: 6 });
});

test('a deleted image knows when', () => {
  expect(changedImage(imageThatIs('active'), { status: 'deleted' }, 7).deletedAt).toBe(7);
});

test('users may not write properties of the service', () => {
  expect(() => refuseReservedProperties({ os_glance_import_task: 'x' })).toThrow(
    /os_glance_import_task can only be set/,
  );
  expect(() => refuseReservedProperties({ os_type: 'linux' })).not.toThrow();
});

test.each([
  { text: undefined, ids: [] },
  { text: '', ids: [] },
  { text: 'a,b,a', ids: ['a', 'b'] },
])('the stores in $text', ({ text, ids }) => {
  expect(storeList(text)).toEqual(ids);
});
