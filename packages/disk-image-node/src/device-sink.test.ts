import { expect, test } from 'vitest';
import type { DeviceCalls } from './device-sink.ts';
import { deviceSink } from './device-sink.ts';

const SIZE = 3 * 2 ** 20;

/** A device in memory that notes what it is asked to do. */
function memoryDevice(canZero: boolean): DeviceCalls & { readonly bytes: Uint8Array; readonly calls: string[] } {
  const bytes = new Uint8Array(SIZE).fill(0xaa);
  const calls: string[] = [];
  return {
    size: SIZE,
    bytes,
    calls,
    write(offset, data) {
      calls.push(`write ${offset}+${data.length}`);
      bytes.set(data, offset);
    },
    zero(offset, length) {
      calls.push(`zero ${offset}+${length}`);
      if (canZero) bytes.fill(0, offset, offset + length);
      return canZero;
    },
  };
}

test.each([
  { name: 'that can', canZero: true, calls: ['zero 4096+1044480', 'write 100+3996', 'write 1048576+424'] },
  { name: 'that cannot', canZero: false, calls: ['zero 4096+1044480', 'write 100+1048576', 'write 1048676+324'] },
])('a range becomes zeros on a device $name make ranges zero, and nothing else changes', async (device) => {
  const memory = memoryDevice(device.canZero);
  await deviceSink(memory).zero(100, 1_048_900);
  expect(memory.calls).toEqual(device.calls);
  const expected = new Uint8Array(SIZE).fill(0xaa).fill(0, 100, 1_049_000);
  expect(Buffer.compare(memory.bytes, expected)).toBe(0);
});

test('a short range is written', async () => {
  const memory = memoryDevice(true);
  await deviceSink(memory).zero(5000, 100);
  expect(memory.calls).toEqual(['write 5000+100']);
});

test.each([
  ['write', async (sink: ReturnType<typeof deviceSink>) => sink.write(SIZE - 1, new Uint8Array(2))],
  ['zero', async (sink: ReturnType<typeof deviceSink>) => sink.zero(0, SIZE + 1)],
  ['truncate', async (sink: ReturnType<typeof deviceSink>) => sink.truncate(SIZE + 1)],
] as const)('%s behind the end says both sizes and changes nothing', async (_name, act) => {
  const memory = memoryDevice(true);
  await expect(act(deviceSink(memory))).rejects.toMatchObject({
    code: 'io',
    message: `The device has ${SIZE} bytes, and the image needs ${SIZE + 1} or more`,
    cause: { code: 'ENOSPC' },
  });
  expect(memory.calls).toEqual([]);
});

test('a shorter length changes nothing: a device has its size', async () => {
  const memory = memoryDevice(true);
  await deviceSink(memory).truncate(0);
  expect(memory.calls).toEqual([]);
});
