import { assert } from '../../errors.ts';
import type { TargetLayout } from '../../image/target.ts';
import { HEADER_BYTES } from './header.ts';

/** What a layout says about the image to be. */
export interface NewImage {
  readonly imageType: 'dynamic' | 'static';
  readonly blockSize: number;
  readonly blockCount: number;
  readonly blockMapOffset: number;
  readonly dataOffset: number;
  /** UUIDs in text. */
  readonly imageUuid: string;
  readonly modificationUuid: string;
}

/** The parameters of a layout that this format has made. */
export function newImage(layout: TargetLayout): NewImage {
  const { parameters, files, virtualSize } = layout;
  const blockSize = Number(parameters['blockSize']);
  const dataOffset = files[0]?.hostOffset;
  assert(dataOffset !== undefined && blockSize > 0, 'a VDI image has one file and blocks');
  return {
    imageType: parameters['imageType'] === 'static' ? 'static' : 'dynamic',
    blockSize,
    blockCount: Math.ceil(virtualSize / blockSize),
    blockMapOffset: HEADER_BYTES,
    dataOffset,
    imageUuid: `${parameters['imageUuid']}`,
    modificationUuid: `${parameters['modificationUuid']}`,
  };
}
