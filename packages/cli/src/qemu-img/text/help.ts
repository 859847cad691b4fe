import { programVersion } from '../../program-version.ts';
import { driverNames } from '../format-names.ts';

/** The program whose words this one speaks. Callers compare this number. */
const SPOKEN_VERSION = '7.2.22';

/** What `--version` prints. */
export function versionText(): string {
  return `qemu-img version ${SPOKEN_VERSION} (diskmorph ${programVersion()})\n`;
}

/** What `--help` prints: the commands with their options, and the formats. */
export function helpText(): string {
  return `${versionText()}usage: qemu-img [standard options] command [command options]
A drop-in replacement for QEMU's disk image utility; see docs/qemu-img.md for what differs.

    '-h', '--help'       display this help and exit
    '-V', '--version'    output version information and exit
    '-T', '--trace'      accepted; nothing is traced

Command syntax:
${COMMANDS.map((command) => `  ${command}\n`).join('')}
Sizes are bytes with an optional suffix k, M, G, T, P or E (multiples of 1024).
'-o help' lists the options of a format.

Supported formats: ${driverNames.join(' ')}
`;
}

const COMMANDS: readonly string[] = [
  'amend [--image-opts] [-p] [-q] [-f fmt] [-t cache] [--force] -o options filename',
  'bitmap (--merge SOURCE | --add | --remove | --clear | --enable | --disable)... [-b source_file [-F source_fmt]] [-g granularity] [--image-opts | -f fmt] filename bitmap',
  'check [--image-opts] [-q] [-f fmt] [--output=ofmt] [-r [leaks | all]] [-T src_cache] [-U] filename',
  'commit [--image-opts] [-q] [-f fmt] [-t cache] [-b base] [-r rate_limit] [-d] [-p] filename',
  'compare [--image-opts] [-f fmt] [-F fmt] [-T src_cache] [-p] [-q] [-s] [-U] filename1 filename2',
  'convert [--image-opts] [--target-image-opts] [--target-is-zero] [--bitmaps] [-U] [-C] [-c] [-p] [-q] [-n] [-f fmt] [-t cache] [-T src_cache] [-O output_fmt] [-B backing_file [-F backing_fmt]] [-o options] [-l snapshot_param] [-S sparse_size] [-r rate_limit] [-m num_coroutines] [-W] [--salvage] filename [filename2 [...]] output_filename',
  'create [-q] [-f fmt] [-b backing_file [-F backing_fmt]] [-u] [-o options] filename [size]',
  'dd [--image-opts] [-U] [-f fmt] [-O output_fmt] [bs=block_size] [count=blocks] [skip=blocks] if=input of=output',
  'info [--image-opts] [-f fmt] [--output=ofmt] [--backing-chain] [-U] filename',
  'map [--image-opts] [-f fmt] [--start-offset=offset] [--max-length=len] [--output=ofmt] [-U] filename',
  'measure [--output=ofmt] [-O output_fmt] [-o options] [--size N | [--image-opts] [-f fmt] [-l snapshot_param] filename]',
  'rebase [--image-opts] [-U] [-q] [-f fmt] [-t cache] [-T src_cache] [-p] [-u] -b backing_file [-F backing_fmt] filename',
  'resize [--image-opts] [-f fmt] [--preallocation=prealloc] [-q] [--shrink] filename [+ | -]size',
  'snapshot [--image-opts] [-U] [-q] [-l | -a snapshot | -c snapshot | -d snapshot] filename',
];
