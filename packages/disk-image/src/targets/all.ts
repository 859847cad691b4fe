import { aws } from './aws.ts';
import { azure } from './azure.ts';
import { digitalocean } from './digitalocean.ts';
import { esxi } from './esxi.ts';
import { gcp } from './gcp.ts';
import { hyperv } from './hyperv.ts';
import { kubevirt } from './kubevirt.ts';
import { oci } from './oci.ts';
import { openstackCeph, openstackQemu } from './openstack.ts';
import type { TargetProfile } from './profile.ts';
import { proxmox } from './proxmox.ts';
import { virtualbox } from './virtualbox.ts';
import { xcpng } from './xcpng.ts';

/** Every target that images can be made for. */
export const targetProfiles: readonly TargetProfile[] = [
  azure,
  aws,
  gcp,
  oci,
  digitalocean,
  esxi,
  virtualbox,
  hyperv,
  proxmox,
  xcpng,
  kubevirt,
  openstackCeph,
  openstackQemu,
];

/** The target of that name, in any case. */
export function findTarget(name: string): TargetProfile | undefined {
  return targetProfiles.find((profile) => profile.name === name.toLowerCase());
}
