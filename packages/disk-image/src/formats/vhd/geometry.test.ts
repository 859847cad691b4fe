import { expect, test } from 'vitest';
import { geometryOf, geometrySectors, MAX_GEOMETRY, roundToGeometry } from './geometry.ts';

test.each([
  { sectors: 68, geometry: [1, 4, 17] },
  { sectors: 4 * 1024 * 17 - 1, geometry: [1023, 4, 17] },
  { sectors: 5 * 1024 * 17 - 1, geometry: [1023, 5, 17] },
  { sectors: 16 * 1024 * 17, geometry: [561, 16, 31] },
  { sectors: 16 * 1024 * 31, geometry: [503, 16, 63] },
  { sectors: 65535 * 16 * 63, geometry: [16191, 16, 255] },
  { sectors: 2 ** 32, geometry: [65535, 16, 255] },
])('$sectors sectors are $geometry', ({ sectors, geometry }) => {
  const { cylinders, heads, sectorsPerTrack } = geometryOf(sectors);
  expect([cylinders, heads, sectorsPerTrack]).toEqual(geometry);
});

test('a rounded disk holds what was asked for and is what its geometry says', () => {
  for (let size = 1; size < 2 ** 36; size = Math.ceil(size * 1.37)) {
    const { virtualSize, geometry } = roundToGeometry(size);
    expect(virtualSize).toBeGreaterThanOrEqual(size);
    expect(virtualSize).toBe(geometrySectors(geometry) * 512);
    expect(virtualSize - size).toBeLessThan(16 * 255 * 512);
  }
});

test('a disk beyond the largest geometry keeps its size', () => {
  expect(roundToGeometry(2 ** 40 + 1)).toEqual({ virtualSize: 2 ** 40 + 512, geometry: MAX_GEOMETRY });
});
