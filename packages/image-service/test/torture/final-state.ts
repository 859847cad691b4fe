import { readFile } from 'node:fs/promises';
import type { Ask } from './asking.ts';
import type { Installation } from './installation.ts';
import { STORES } from './installation.ts';
import type { ImageStory, Record as Happened } from './record.ts';
import { sha512 } from './samples.ts';

/** The code of a task whose step was killed ten times: with so many kills that happens. */
const GIVEN_UP = 'interrupted_too_often';
const QCOW2_MAGIC = Buffer.from('QFI\xfb', 'latin1');

interface ImageView {
  readonly id: string;
  readonly status: string;
  readonly size: number | null;
  readonly os_hash_value: string | null;
  readonly disk_format: string | null;
  readonly stores?: string;
  readonly [property: string]: unknown;
}

interface TaskView {
  readonly id: string;
  readonly status: string;
  readonly message?: string;
  readonly error_code?: string | null;
  readonly image_id?: string | null;
}

/** Everything that is not as it must be when the service has come to rest: one line each. */
export async function findViolations(ask: Ask, installation: Installation, happened: Happened): Promise<string[]> {
  const images = await everyImage(ask);
  const found = [...happened.violations];
  for (const story of happened.stories.values()) {
    const image = images.find(({ id }) => id === story.id);
    for (const wrong of await wrongWith(ask, story, image)) {
      found.push(`image ${story.id} (${image?.status ?? 'gone'}): ${wrong}; ${story.events.join(', ')}`);
    }
  }
  const unknown = images.filter(({ id, status }) => !happened.stories.has(id) && status !== 'queued');
  found.push(...unknown.map(({ id, status }) => `image ${id} is ${status}, and nobody made it`));
  return [
    ...found,
    ...(await misplacedFiles(installation, images)),
    ...(await wrongFiles(installation, images, happened)),
    ...(await wrongTasks(ask, happened)),
    ...(await unfinishedTasks(ask)),
  ];
}

async function everyImage(ask: Ask): Promise<readonly ImageView[]> {
  return (await everyPage<{ readonly images: readonly ImageView[] }>(ask, '/v2/images?limit=200')).flatMap(
    ({ images }) => images,
  );
}

async function everyTask(ask: Ask): Promise<readonly TaskView[]> {
  return (await everyPage<{ readonly tasks: readonly TaskView[] }>(ask, '/v2/tasks?limit=200')).flatMap(
    ({ tasks }) => tasks,
  );
}

async function everyPage<Page>(ask: Ask, first: string): Promise<readonly Page[]> {
  const pages: Page[] = [];
  for (let next: string | undefined = first; next !== undefined;) {
    const page: Page & { readonly next?: string } = await read(ask, next);
    pages.push(page);
    next = page.next;
  }
  return pages;
}

async function read<T>(ask: Ask, path: string): Promise<T> {
  const answer = await ask(`GET ${path}`);
  if (answer?.status !== 200) throw new Error(`GET ${path}: ${answer?.status ?? 'lost'} ${answer?.bytes ?? ''}`);
  return JSON.parse(answer.bytes.toString()) as T;
}

async function wrongWith(ask: Ask, story: ImageStory, image: ImageView | undefined): Promise<readonly string[]> {
  if (image === undefined) return story.deletion === 'none' ? ['it is gone'] : [];
  if (story.deletion === 'promised') return ['it was deleted'];
  const wrong: string[] = [];
  if (image['os_glance_import_task'] !== undefined) wrong.push('its lock is left');
  if (image.status === 'active') return [...wrong, ...(await wrongData(ask, story, image))];
  if (image.status === 'uploading') {
    return story.way === 'stage' && image.size === story.sample?.bytes.length
      ? wrong
      : [...wrong, 'no staged data was promised'];
  }
  if (image.status !== 'queued') return [...wrong, 'it is in no state of rest'];
  const reason = image['os_glance_import_error'];
  // What was lost may never have reached the service.
  const told = reason !== undefined || story.events.includes('lost');
  if (story.way !== undefined && !told) wrong.push('nobody can tell why it is queued');
  if (story.way === 'upload' && story.promised) wrong.push('its data was taken and is gone');
  if (story.way === 'stage' && story.promised && !story.cancelled) wrong.push('its staged data was taken and is gone');
  const givenUp = String(reason).startsWith(`${GIVEN_UP}: `);
  if (story.way === 'import' && story.promised && !story.cancelled && !givenUp) {
    wrong.push(`its import failed: ${String(reason)}`);
  }
  return wrong;
}

async function wrongData(ask: Ask, story: ImageStory, image: ImageView): Promise<readonly string[]> {
  const { sample } = story;
  if (sample === undefined) return ['nobody gave it data'];
  const stored = await ask(`GET /v2/images/${image.id}/file`);
  const guest = await ask(`GET /v2/images/${image.id}/file?format=raw`);
  if (stored?.status !== 200 || guest?.status !== 200) return [`its data cannot be read: ${stored?.bytes ?? 'lost'}`];
  return [
    ...(stored.bytes.length === image.size ? [] : ['its size is wrong']),
    ...(sha512(stored.bytes) === image.os_hash_value ? [] : ['its hash is wrong']),
    ...(sha512(guest.bytes) === sample.guestSha512 ? [] : ['its disk is another one']),
    ...(story.formats.has(image.disk_format ?? '') ? [] : [`nobody asked for ${image.disk_format}`]),
    ...((image.disk_format === 'qcow2') === stored.bytes.subarray(0, 4).equals(QCOW2_MAGIC)
      ? []
      : ['it is in another format']),
  ];
}

/** Files that no record names, and records that name no file. */
async function misplacedFiles(installation: Installation, images: readonly ImageView[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const store of STORES) {
    const left = new Set(await installation.stored(store));
    for (const { id, stores } of images) {
      const names = [...left].filter((name) => name.startsWith(`${id}.`));
      const held = (stores ?? '').split(',').includes(store);
      if (names.length !== (held ? 1 : 0)) found.push(`store ${store} has ${names.length} files of image ${id}`);
      for (const name of names) left.delete(name);
    }
    found.push(...[...left].map((name) => `store ${store} has ${name}, which no image names`));
  }
  const staged = images.filter(({ status }) => status === 'uploading').map(({ id }) => id);
  const unknown = (await installation.unfinished()).filter(
    (path) => !staged.some((id) => path.includes(id)) && !(staged.length > 0 && /^staging\/[^/]+$/.test(path)),
  );
  return [...found, ...unknown.map((path) => `${path} was left`)];
}

/** Files with other bytes than those of the record, or, in a store that wants another format, than those of the disk. */
async function wrongFiles(
  installation: Installation,
  images: readonly ImageView[],
  { stories }: Happened,
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const store of STORES) {
    for (const name of await installation.stored(store)) {
      const image = images.find(({ id }) => name.startsWith(`${id}.`));
      const digest = sha512(await readFile(installation.storedPath(store, name)));
      const right = [image?.os_hash_value, stories.get(image?.id ?? '')?.sample?.guestSha512];
      if (image !== undefined && !right.includes(digest)) found.push(`store ${store} has other bytes in ${name}`);
    }
  }
  return found;
}

/** Tasks that were promised and are not there, or have not done what they said; and failures that nobody can explain. */
async function wrongTasks(ask: Ask, { stories }: Happened): Promise<readonly string[]> {
  const found: string[] = [];
  const tasks = new Map((await everyTask(ask)).map((task) => [task.id, task]));
  for (const story of stories.values()) {
    const lost = [...story.tasks.keys()].filter((id) => !tasks.has(id));
    found.push(...lost.map((id) => `task ${id} of image ${story.id} was promised and is gone`));
    if (story.deletion !== 'none' || story.tasks.size === 0) continue;
    const { stores = '' } = await read<ImageView>(ask, `/v2/images/${story.id}`);
    for (const [id, asked] of story.tasks) {
      const missing =
        tasks.get(id)?.status === 'success' ? asked.filter((store) => !stores.split(',').includes(store)) : [];
      found.push(...missing.map((store) => `task ${id} did not bring image ${story.id} into store ${store}`));
    }
  }
  for (const { id } of [...tasks.values()].filter(({ status }) => status === 'failure')) {
    const task = await read<TaskView>(ask, `/v2/tasks/${id}`);
    const story = stories.get(task.image_id ?? '');
    const told = story === undefined || story.deletion !== 'none' || task.error_code === GIVEN_UP;
    if (told || (story.cancelled && task.error_code === 'cancelled')) continue;
    found.push(`task ${id} of image ${story.id}: ${task.error_code}: ${task.message}; ${story.events.join(', ')}`);
  }
  return found;
}

async function unfinishedTasks(ask: Ask): Promise<readonly string[]> {
  const tasks = await everyTask(ask);
  return tasks.flatMap(({ id, status }) =>
    ['success', 'failure'].includes(status) ? [] : [`task ${id} is ${status}`],
  );
}

/** True when no task is under way, no image waits for what a dead process was doing, and what was given up is removed. */
export async function isAtRest(ask: Ask, installation: Installation): Promise<boolean> {
  if ((await unfinishedTasks(ask)).length > 0) return false;
  const images = await everyImage(ask);
  const areAtRest = images.every(
    ({ status, size }) => !['saving', 'importing'].includes(status) && (status !== 'uploading' || size !== null),
  );
  return areAtRest && (await misplacedFiles(installation, images)).length === 0;
}

/** How many images and tasks are in each state. */
export async function endStates(ask: Ask): Promise<Readonly<Record<string, number>>> {
  const states: Record<string, number> = {};
  const ends = [
    ...(await everyImage(ask)).map(({ status }) => `images ${status}`),
    ...(await everyTask(ask)).map(({ status }) => `tasks: ${status}`),
  ];
  for (const end of ends) states[end] = (states[end] ?? 0) + 1;
  return states;
}
