import type { Fault } from './fault.ts';
import type { Qcow2Header } from './header.ts';
import { INCOMPATIBLE } from './header.ts';

const KNOWN = Object.values(INCOMPATIBLE).reduce((mask, bit) => mask | bit, 0n);
const MAX_SHOWN_NAME = 46;

/**
 * A fault for each incompatible feature bit that is not known, by its name in the feature name table or its number.
 * qcow2 specification, "Header", incompatible_features: an image with such a bit must not be opened.
 */
export function unknownFeatureFaults(header: Qcow2Header, names: ReadonlyMap<string, string>): Fault[] {
  const unknown = header.incompatibleFeatures & ~KNOWN;
  const faults: Fault[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if ((unknown & (1n << BigInt(bit))) === 0n) continue;
    const name = names.get(`0:${bit}`)?.slice(0, MAX_SHOWN_NAME);
    const shown = name === undefined ? `number ${bit}` : `${JSON.stringify(name)} (bit ${bit})`;
    faults.push({
      code: 'unknown-feature',
      severity: 'unsafe',
      errorCode: 'unsupported',
      message: `The image needs the feature ${shown}, which is not known`,
      structure: 'header',
      offset: 72,
    });
  }
  return faults;
}
