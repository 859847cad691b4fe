import type { ByteSource } from '../../bytes/byte-source.ts';
import type { GivenOptions } from '../../image/format.ts';
import { readAnatomy } from './anatomy.ts';
import { subformatOf } from './create-type.ts';
import { NO_PARENT } from './descriptor.ts';
import { vmdkError } from './fault.ts';
import { hasZeroedGrains } from './sparse-header.ts';
import { NEW_GRAIN_SIZE } from './sparse-layout.ts';

/**
 * The options of a disk that stands alone; its content id changes with its content, as it must. Throws `unsupported` for
 * a differencing disk, one without descriptor, and one with grains of another size than new disks have.
 */
export async function vmdkLikeness(source: ByteSource): Promise<GivenOptions> {
  const anatomy = await readAnatomy(source);
  const descriptor = anatomy.kind === 'esx' ? undefined : anatomy.descriptor;
  const subformat = subformatOf(descriptor?.createType);
  if (descriptor === undefined || subformat === undefined) throw refused('This VMDK');
  if (descriptor.parentCid !== NO_PARENT) throw refused('A differencing VMDK');
  const header = anatomy.kind === 'sparse' ? anatomy.header : undefined;
  if (header !== undefined && header.grainSize !== NEW_GRAIN_SIZE) {
    throw refused(`A VMDK with grains of ${header.grainSize} bytes`);
  }
  return {
    subformat,
    ...given('adapter_type', descriptor.database.get('adapterType')),
    ...given('hwversion', descriptor.database.get('virtualHWVersion')),
    ...given('toolsversion', descriptor.database.get('toolsVersion')),
    ...(header !== undefined && hasZeroedGrains(header) ? { zeroed_grain: 'on' } : {}),
  };
}

function given(name: string, value: string | undefined): GivenOptions {
  return value === undefined ? {} : { [name]: value };
}

function refused(what: string): Error {
  return vmdkError('unsupported', `${what} cannot be made anew`, 'descriptor');
}
