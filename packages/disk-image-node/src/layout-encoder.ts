import type { TargetLayout, UnitEncoder } from '@diskmorph/disk-image';
import { encoderOf } from '@diskmorph/disk-image';
import { requireFormat } from './image-file.ts';
import { nodeCodecs } from './native-codecs.ts';

/** The encoder that a layout needs in this thread; undefined when its bytes are stored as they are. */
export function encoderFor(layout: TargetLayout): UnitEncoder | undefined {
  return encoderOf(requireFormat(layout.format), layout, nodeCodecs());
}
