import { expect } from 'vitest';
import { denyReferences, memorySource } from '../src/index.ts';
import type { FormatEditor, OpenContext, WritableImageFile } from '../src/index.ts';
import { qcow2 } from '../src/formats/qcow2/qcow2.ts';
import type { Peer } from './qcow2-peer.ts';
import { openBytes, readAll, testCodecs } from './qcow2-peer.ts';
import type { RecordedFile } from './write-recorder.ts';
import { crashStates, recordedFile, seededRandom } from './write-recorder.ts';

/** The context of images that need no other file. */
export const context: OpenContext = { codecs: testCodecs, references: denyReferences };

/** The editor under test. */
export function editor(): FormatEditor {
  if (qcow2.editor === undefined) throw new Error('qcow2 can be edited');
  return qcow2.editor;
}

/** What the guest may find after a crash: one of these disks. */
export type AllowedDisks = readonly Uint8Array[];

/** How hard to look. */
export interface CutEffort {
  /** States with lost writes, besides every prefix. */
  readonly samples: number;
  /** States that qemu-img judges too. */
  readonly peerSamples: number;
}

const EFFORT: CutEffort = { samples: 40, peerSamples: 5 };

/**
 * Runs the change on a recorded copy of `start`, then cuts its writes everywhere: every state must be free of corruption
 * in our check and in qemu-img's, and hold one of `allowed` (`undefined`: the guest bytes of the file before or after).
 * Returns the changed file.
 */
export async function changeAndCut(
  peer: Peer,
  start: Uint8Array,
  change: (file: WritableImageFile) => Promise<unknown>,
  options: { readonly allowed?: (bytes: Uint8Array) => Promise<void>; readonly effort?: CutEffort } = {},
): Promise<RecordedFile> {
  const file = await recordedFile(start);
  await change(file);
  const before = await guestOf(start);
  const after = await guestOf(file.bytes());
  const effort = options.effort ?? EFFORT;
  const random = seededRandom(file.calls.length);
  let count = 0;
  const total = file.calls.length + 1 + effort.samples;
  const peerEvery = Math.max(1, Math.floor(total / effort.peerSamples));
  for await (const state of crashStates(file, effort.samples, random)) {
    await expectNoCorruption(state.bytes, state.label);
    if (options.allowed === undefined) {
      const guest = await guestOf(state.bytes);
      expect(sameBytes(guest, before) || sameBytes(guest, after), `${state.label}: a mix of before and after`).toBe(
        true,
      );
    } else await options.allowed(state.bytes);
    if (count++ % peerEvery === 0) await expectPeerContent(peer, state.bytes, state.label);
  }
  await expectClean(peer, file.bytes());
  return file;
}

/** Guest bytes without looking at a backing image. */
export async function guestOf(bytes: Uint8Array): Promise<Uint8Array> {
  return readAll(await openBytes(bytes), 2 ** 20);
}

/** Whether both hold the same. */
export function sameBytes(first: Uint8Array, second: Uint8Array): boolean {
  return Buffer.compare(first, second) === 0;
}

async function expectNoCorruption(bytes: Uint8Array, label: string): Promise<void> {
  const report = await qcow2.check?.(memorySource(bytes));
  expect({ label, corruptions: report?.corruptions, findings: corruptionsOf(report) }).toEqual({
    label,
    corruptions: 0,
    findings: [],
  });
}

function corruptionsOf(report: { readonly findings: readonly { readonly severity: string }[] } | undefined): unknown {
  return report?.findings.filter((finding) => finding.severity === 'unsafe');
}

async function expectPeerContent(peer: Peer, bytes: Uint8Array, label: string): Promise<void> {
  const { corruptions } = await peerCheck(peer, bytes);
  expect(corruptions, `qemu-img check ${label}`).toBe(0);
}

/** What `qemu-img check` counts, without opening the backing image. */
async function peerCheck(
  peer: Peer,
  bytes: Uint8Array,
): Promise<{ readonly corruptions: number; readonly leaks: number }> {
  await peer.write('checked.qcow2', bytes);
  const name = JSON.stringify({ driver: 'qcow2', backing: null, file: { driver: 'file', filename: 'checked.qcow2' } });
  const report = JSON.parse(await peer.img(['check', '--output=json', `json:${name}`], [2, 3])) as Record<
    string,
    number
  >;
  return { corruptions: report['corruptions'] ?? 0, leaks: report['leaks'] ?? 0 };
}

/** Neither corruptions nor leaks, in our check and in qemu-img's. */
export async function expectClean(peer: Peer, bytes: Uint8Array): Promise<void> {
  const report = await qcow2.check?.(memorySource(bytes));
  expect({ corruptions: report?.corruptions, leaks: report?.leaks, findings: report?.findings }).toEqual({
    corruptions: 0,
    leaks: 0,
    findings: [],
  });
  expect(await peerCheck(peer, bytes)).toEqual({ corruptions: 0, leaks: 0 });
}
