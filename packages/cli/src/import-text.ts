import type { ImageRecord, ImportedImage, TaskView } from '@diskmorph/image-service';
import { factLines } from './fact-lines.ts';
import { durationText, exactSizeText, sizeText } from './terminal/size-text.ts';
import type { Style } from './terminal/style.ts';
import type { Cell } from './terminal/text-layout.ts';
import { plainText, tableLines } from './terminal/text-layout.ts';

/** What an import brought, for people. */
export function importedText({ image, task, resumed }: ImportedImage, style: Style): string {
  const head = `${style.green(style.bold(image.status.toUpperCase()))}  ${style.bold(plainText(image.name ?? image.id))}`;
  const rows: [string, Cell][] = [
    ...imageRows(image),
    ['task', task.id],
    ['stages', stagesText(task)],
    ['time', `${durationText((task.updatedAt - task.createdAt) / 1000)}${resumed ? ', resumed' : ''}`],
  ];
  return `${[head, ...factLines(rows, style)].join('\n')}\n`;
}

/** One image, for people. */
export function imageText(image: ImageRecord, style: Style): string {
  const rows: [string, Cell][] = [
    ...imageRows(image),
    ['created', timeText(image.createdAt)],
    ['updated', timeText(image.updatedAt)],
    ...Object.entries(image.properties)
      .filter(([, value]) => value !== '')
      .map(([name, value]): [string, Cell] => [plainText(name), plainText(value)]),
  ];
  const head = `${style.bold(image.status)}  ${style.bold(plainText(image.name ?? ''))}`;
  return `${[head, ...factLines(rows, style)].join('\n')}\n`;
}

function imageRows(image: ImageRecord): [string, Cell][] {
  const rows: [string, Cell][] = [['image', image.id]];
  const source = image.properties['source_format'];
  const from = source === undefined || source === image.diskFormat ? '' : `, converted from ${plainText(source)}`;
  if (image.diskFormat !== null) rows.push(['format', `${image.diskFormat}${from}`]);
  if (image.virtualSize !== null) rows.push(['virtual size', exactSizeText(image.virtualSize)]);
  if (image.size !== null) rows.push(['size', exactSizeText(image.size)]);
  if (image.osHashAlgo !== null && image.osHashValue !== null) rows.push([image.osHashAlgo, image.osHashValue]);
  for (const { store, location } of image.locations) rows.push(['stored', `${store}: ${plainText(location)}`]);
  return rows;
}

/** The images as a table. */
export function imagesText(images: readonly ImageRecord[], style: Style): string {
  if (images.length === 0) return 'There are no images. "diskmorph import FILE" brings one in.\n';
  const rows = images.map(({ id: name, ...image }): Cell[] => [
    name,
    image.status === 'active' ? style.green(image.status) : style.yellow(image.status),
    image.diskFormat ?? '-',
    { right: image.size === null ? '-' : sizeText(image.size) },
    { right: image.virtualSize === null ? '-' : sizeText(image.virtualSize) },
    image.locations.map((location) => location.store).join(',') || '-',
    plainText(image.name ?? ''),
  ]);
  const titles: Cell[] = ['image', 'status', 'format', { right: 'size' }, { right: 'virtual' }, 'stores', 'name'];
  return tableText(titles, rows, style);
}

/** The tasks as a table. */
export function tasksText(tasks: readonly TaskView[], style: Style): string {
  if (tasks.length === 0) return 'There are no tasks.\n';
  const rows = tasks.map((task): Cell[] => [
    task.id,
    statusText(task, style),
    whereText(task),
    timeText(task.createdAt),
    plainText(task.errorCode === null ? task.message : `${task.errorCode}: ${task.message}`),
  ]);
  return tableText(['task', 'status', 'at', 'since', 'message'], rows, style);
}

/** One task with its steps, for people. */
export function taskText(task: TaskView, style: Style): string {
  const rows: [string, Cell][] = [
    ['task', task.id],
    ['from', plainText(String(task.input['import_from'] ?? '-'))],
    ['began', timeText(task.createdAt)],
    ['updated', timeText(task.updatedAt)],
    ['stages', stagesText(task)],
  ];
  if (task.errorCode !== null) rows.push(['error', task.errorCode]);
  if (task.message !== '') rows.push(['message', plainText(task.message)]);
  for (const warning of task.job?.warnings ?? []) rows.push(['warning', plainText(warning)]);
  return `${[`${statusText(task, style)}  ${style.bold(task.type)}`, ...factLines(rows, style)].join('\n')}\n`;
}

function tableText(titles: readonly Cell[], rows: readonly (readonly Cell[])[], style: Style): string {
  const [title = '', ...lines] = tableLines([titles, ...rows]);
  return `${[style.dim(title), ...lines].join('\n')}\n`;
}

function statusText({ status }: TaskView, style: Style): string {
  if (status === 'success') return style.green(status);
  return status === 'failure' ? style.red(status) : style.yellow(status);
}

/** The stage that an unfinished task is at, with its percent. */
function whereText({ status, job }: TaskView): string {
  if (job === null || status === 'success' || status === 'failure') return '-';
  const step = job.steps.at(-1);
  const percent = job.progress?.percent;
  const stage = step === undefined ? job.state : stageOf(step.name);
  return percent === undefined || percent === null ? stage : `${stage} ${Math.floor(percent)}%`;
}

function stagesText({ job }: TaskView): string {
  const steps = job?.steps ?? [];
  if (steps.length === 0) return '-';
  return steps
    .map(({ name, state }) => (state === 'finished' ? stageOf(name) : `${stageOf(name)} (${state})`))
    .join(', ');
}

/** `convert` of a step's name, which is `<task type>-Convert-<task>`. */
function stageOf(stepName: string): string {
  return (stepName.split('-')[1] ?? stepName).toLowerCase();
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
