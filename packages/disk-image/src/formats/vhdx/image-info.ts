import type { ImageInfo } from '../../image/disk-image.ts';
import { imageInfo } from '../../image/examination.ts';
import type { ImageReference } from '../../image/reference.ts';
import type { Anatomy } from './anatomy.ts';
import type { ParentLocator } from './parent-locator.ts';
import { parentLinkage, parentPath } from './parent-locator.ts';

/** What the metadata says, as plain data. */
export function vhdxInfo(anatomy: Anatomy): ImageInfo {
  const { headers, metadata, parent, replayedEntries } = anatomy;
  const backing = parent === undefined ? undefined : parentReference(parent);
  return imageInfo('vhdx', metadata.diskSize, {
    subformat: metadata.hasParent ? 'differencing' : metadata.leaveBlocksAllocated ? 'fixed' : 'dynamic',
    unitSize: metadata.blockSize,
    dirty: headers.current.hasLog,
    linkId: headers.current.dataWriteGuid,
    ...(backing === undefined ? {} : { backing, references: [backing] }),
    details: {
      creator: headers.creator,
      blockSize: metadata.blockSize,
      logicalSectorSize: metadata.logicalSectorSize,
      physicalSectorSize: metadata.physicalSectorSize,
      diskId: metadata.diskId,
      dataWriteGuid: headers.current.dataWriteGuid,
      ...(headers.current.hasLog ? { replayedLogEntries: replayedEntries } : {}),
      ...(parent === undefined ? {} : { parentLocator: Object.fromEntries(parent.entries) }),
    },
  });
}

function parentReference(parent: ParentLocator): ImageReference {
  return { kind: 'parent', name: parentPath(parent) ?? '', format: 'vhdx', linkIds: parentLinkage(parent) };
}
