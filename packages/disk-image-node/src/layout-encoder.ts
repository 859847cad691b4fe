import type { TargetLayout, UnitEncoder } from '@diskmorph/disk-image';
import { requireFormat } from './image-file.ts';
import { nodeCodecs } from './native-codecs.ts';

/** The encoder that a layout needs in this thread; undefined when its bytes are stored as they are. */
export function encoderFor(layout: TargetLayout): UnitEncoder | undefined {
  const appends = layout.files.some((file) => file.placement === 'append' && file.guestLength > 0);
  return appends ? requireFormat(layout.format).writer?.encoder(layout, nodeCodecs()) : undefined;
}
