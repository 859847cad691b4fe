import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { requirePackage, requireQemuImg } from '../../../fixtures/peers.ts';

const execute = promisify(execFile);

/** Makes images for an empty folder with QEMU's own programs. */
export interface ImageMaker {
  /** Runs qemu-img. */
  img(...args: readonly string[]): Promise<void>;
  /** Runs commands of qemu-io on the guest disk of an image of that format. */
  io(format: string, file: string, ...commands: readonly string[]): Promise<void>;
  /** Makes a range of a file a hole, whatever the file is. */
  punch(file: string, offset: string, length: string): Promise<void>;
}

/** A maker for images in `folder`. */
export async function imageMaker(folder: string): Promise<ImageMaker> {
  const qemuImg = await requireQemuImg();
  const qemuIo = await requirePackage('qemu-io', 'qemu-utils');
  const io: ImageMaker['io'] = async (format, file, ...commands) => {
    await execute(qemuIo, ['-f', format, ...commands.flatMap((command) => ['-c', command]), file], { cwd: folder });
  };
  return {
    img: async (...args) => void (await execute(qemuImg, args, { cwd: folder })),
    io,
    punch: (file, offset, length) => io('raw', file, `discard ${offset} ${length}`),
  };
}

/** An image by its name and the format to be read as. */
export interface NamedImage {
  readonly name: string;
  readonly format: string;
}

const WRITES: readonly string[] = ['write -P 1 1M 128k', 'write -z 3M 1M', 'write -P 2 5M 4k', 'write -P 3 6M 300k'];
/** Driver and options of images whose tables say less than their files do. */
const PREALLOCATED: readonly string[] = ['off', 'metadata', 'falloc', 'full'].flatMap((mode) => [
  `preallocation=${mode}`,
  `preallocation=${mode},extended_l2=on`,
  `preallocation=${mode},cluster_size=4k`,
]);
const HOLED: readonly (readonly [format: string, options: string, file?: string])[] = [
  ['qcow2', 'cluster_size=64k'],
  ['qcow2', 'extended_l2=on'],
  ['vmdk', 'subformat=monolithicSparse'],
  ['vmdk', 'subformat=monolithicFlat', '-flat'],
  ['vmdk', 'subformat=twoGbMaxExtentFlat', '-f001'],
  ['vdi', 'static=off'],
  ['vdi', 'static=on'],
  ['vpc', 'subformat=dynamic'],
  ['vpc', 'subformat=fixed'],
  ['vhdx', 'subformat=dynamic'],
  ['qed', 'cluster_size=64k'],
  ['parallels', 'cluster_size=1M'],
  ['qcow', 'nocow=off'],
  ['raw', 'nocow=off'],
];

/**
 * Images whose files have holes where their tables speak of data, subclusters that are not allocated inside allocated
 * clusters, and chains of them in several formats.
 */
export async function makeMappedImages(folder: string): Promise<readonly NamedImage[]> {
  const maker = await imageMaker(folder);
  const { img, io, punch } = maker;
  const made: NamedImage[] = [];
  const add = async (format: string, name: string, ...args: readonly string[]): Promise<string> => {
    await img('create', '-q', '-f', format, ...args.slice(0, -1), name, args.at(-1) ?? '');
    made.push({ name, format });
    return name;
  };
  for (const [index, options] of PREALLOCATED.entries()) {
    await add('qcow2', `empty${index}.qcow2`, '-o', options, '10M');
    await io('qcow2', await add('qcow2', `filled${index}.qcow2`, '-o', options, '10M'), ...WRITES);
  }
  for (const [index, [format, options, part = '']] of HOLED.entries()) {
    // Of 8 MiB of qcow2, 1 MiB is above the threshold and 128 KiB below; a VHDX has tables up to 4 MiB.
    for (const length of format === 'qcow2' ? ['1M', '128k'] : ['1M']) {
      const name = await add(format, `holes${index}-${length}.${format}`, '-o', options, '16M');
      await io(format, name, 'write -P 1 0 8M');
      await punch(name.replace(/\./, `${part}.`), '5M', length);
    }
  }
  await makeOverlays(maker, made);
  await img('create', '-q', '-f', 'qcow2', '-o', 'data_file=data.raw', 'external.qcow2', '5M');
  await io('qcow2', 'external.qcow2', 'write -P 1 1M 1M');
  return [...made, { name: 'external.qcow2', format: 'qcow2' }];
}

const OVERLAYS: readonly (readonly [format: string, options: string, below: string])[] = [
  ['qcow2', 'extended_l2=on', 'filled0.qcow2'],
  ['qcow2', 'preallocation=metadata,extended_l2=on', 'holes0-1M.qcow2'],
  ['qcow2', 'preallocation=full,extended_l2=on,cluster_size=128k', 'over0.qcow2'],
  ['qcow2', 'compat=0.10', 'filled3.qcow2'],
  ['qed', 'cluster_size=4k', 'filled1.qcow2'],
  ['qcow', 'nocow=off', 'over4.qed'],
  ['vmdk', 'zeroed_grain=on', 'holes2-1M.vmdk'],
  ['vmdk', 'subformat=twoGbMaxExtentSparse', 'over6.vmdk'],
  ['qcow2', 'extended_l2=on', 'over7.vmdk'],
  ['qcow2', 'cluster_size=2M', 'holes9-1M.vhdx'],
  ['qcow2', 'cluster_size=4k', 'holes13-1M.raw'],
];

async function makeOverlays({ img, io }: ImageMaker, made: NamedImage[]): Promise<void> {
  for (const [index, [format, options, below]] of OVERLAYS.entries()) {
    const name = `over${index}.${format}`;
    const base = ['-b', below, '-F', below.replace(/.*\./, '')];
    await img('create', '-q', '-f', format, '-o', options, ...base, name, '11M');
    const writes = format === 'qcow' ? WRITES.filter((write) => !write.includes('-z')) : WRITES;
    await io(format, name, ...writes, 'write -P 9 10900k 8k');
    made.push({ name, format });
  }
}
