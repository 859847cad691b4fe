import { readdir, readlink } from 'node:fs/promises';

/** Files of a plan, neither of which has a name. */
const FILES = 2;

/** Plans of downloads that this process has open below the directory (proc(5): what has no name is shown as deleted). */
export async function openPlans(directory: string): Promise<number> {
  const links = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  const unnamed = (await Promise.all(links)).filter(
    (link) => link.startsWith(`${directory}/`) && link.endsWith(' (deleted)'),
  );
  return unnamed.length / FILES;
}
