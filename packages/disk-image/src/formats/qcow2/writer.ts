import type { FormatWriter } from '../../image/format.ts';
import { CREATE_OPTIONS } from './create-options.ts';
import { finishQcow2 } from './finish.ts';
import { metadataClusters } from './metadata-size.ts';
import { layoutGeometry, layoutOptions, qcow2Layout } from './target-layout.ts';
import { unitEncoder } from './unit-encoder.ts';

/** Writes new images; `measure` gives the numbers of `qemu-img measure`, which no image that is written exceeds. */
export const qcow2Writer: FormatWriter = {
  options: CREATE_OPTIONS,
  layout: qcow2Layout,
  encoder: unitEncoder,
  finish: finishQcow2,
  measure(layout, dataUnits) {
    const { refcountOrder, preallocation } = layoutOptions(layout);
    const geometry = layoutGeometry(layout);
    const metadata = metadataClusters({ ...geometry, virtualSize: layout.virtualSize, refcountOrder });
    const allUnits = Math.ceil(layout.virtualSize / geometry.clusterSize);
    const fullyAllocated = (metadata.total + allUnits) * geometry.clusterSize;
    const required = (metadata.total + Math.min(dataUnits, allUnits)) * geometry.clusterSize;
    return { required: preallocation === 'full' ? fullyAllocated : required, fullyAllocated };
  },
};
