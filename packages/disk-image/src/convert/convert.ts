import type { ByteSink } from '../bytes/byte-source.ts';
import type { Codecs } from '../bytes/codecs.ts';
import { assert, throwIfAborted } from '../errors.ts';
import type { Format } from '../image/format.ts';
import type { TargetLayout } from '../image/target.ts';
import type { Checkpoint, CheckpointStore } from './checkpoint.ts';
import { contentSeed } from './content-id.ts';
import type { WorkPorts } from './digest.ts';
import type { ChunkResult, LaneJob } from './lane.ts';
import { createControlMemory } from './lane-control.ts';
import type { ConversionPlan } from './plan.ts';
import { finalLayout } from './plan.ts';
import { prepareDevice } from './prepare-device.ts';
import { progressMeter } from './progress.ts';
import type { CollectedState, ResultCollector } from './result-collector.ts';
import { initialState, resultCollector } from './result-collector.ts';
import type { RunSpool } from './run-spool.ts';
import { isWorthReadingAhead } from './stored-ahead.ts';
import type { WorkMap } from './work-map.ts';

/** What a conversion works with. */
export interface ConversionPorts extends WorkPorts {
  /** The map that was made with the plan. */
  readonly map: WorkMap;
  /** One for each target of the plan. */
  readonly targets: readonly ConversionTarget[];
  /** False leaves the content id out, which saves the time to compute it; identifiers are then not unique. */
  readonly digest: boolean;
  /** Targets may share blocks on disk with the source's file, where their sinks can; false when absent. */
  readonly reflink?: boolean;
  /** The checkpoint to go on from; the sinks and the spool hold what it says. */
  readonly resumeFrom?: CollectedState;
  readonly checkpoints?: ConversionCheckpoints;
  /** Hears how far the disk is copied without a gap: guest bytes before this one are written, or are zeros. */
  readonly onCopied?: (guestEnd: number) => void;
}

/** One target as a conversion finishes it. */
export interface ConversionTarget {
  readonly format: Format;
  /** One for each file of the target's layout. */
  readonly sinks: readonly ByteSink[];
  readonly spool: RunSpool;
}

/** How a conversion saves the points from which it can go on. */
export interface ConversionCheckpoints {
  readonly store: CheckpointStore;
  readonly planDigest: string;
  /** Guest bytes of data between two checkpoints. */
  readonly intervalBytes: number;
}

/** What a conversion did. Plain data. */
export interface ConversionResult {
  /** Undefined when it was not asked for. */
  readonly contentId: string | undefined;
  /** Guest bytes that were not in blocks of zeros. */
  readonly dataBytes: number;
  /** Guest bytes of data that an earlier run had already brought over. */
  readonly resumedFromBytes: number;
}

/**
 * Carries out a plan: lanes copy the data, then each format writes its tables and, last, its header. Decides nothing.
 * When it throws, the sinks hold something that does not look like an image; removing it is the caller's part.
 */
export async function convert(plan: ConversionPlan, ports: ConversionPorts): Promise<ConversionResult> {
  const start = ports.resumeFrom ?? initialState(plan.targets.map((target) => target.layout));
  const collector = resultCollector({
    virtualSize: plan.source.virtualSize,
    map: ports.map,
    codecs: ports.codecs,
    spools: ports.targets.map((target) => target.spool),
    state: start,
  });
  if (ports.resumeFrom === undefined) await prepareDevices(plan, ports);
  await copy(plan, ports, { collector, start });
  throwIfAborted(ports.signal);
  const contentId = ports.digest ? collector.contentId() : undefined;
  const { dataBytes, targets } = collector.state();
  for (const [index, target] of ports.targets.entries()) {
    await finishTarget(plan, target, { index, ends: targets[index]?.ends ?? [], contentId, codecs: ports.codecs });
  }
  return { contentId, dataBytes, resumedFromBytes: start.chunksDone * plan.chunkSize };
}

async function prepareDevices(plan: ConversionPlan, ports: ConversionPorts): Promise<void> {
  const sourceSize = plan.source.virtualSize;
  for (const [index, { sinks, format }] of ports.targets.entries()) {
    const target = plan.targets[index];
    assert(target !== undefined, 'every target is planned');
    for (const sink of sinks) await prepareDevice(target, { sink, format, map: ports.map, sourceSize });
  }
}

async function finishTarget(
  plan: ConversionPlan,
  target: ConversionTarget,
  outcome: {
    readonly index: number;
    readonly ends: readonly number[];
    readonly contentId: string | undefined;
    readonly codecs: Codecs;
  },
): Promise<void> {
  const { sinks, spool, format } = target;
  const writer = format.writer;
  const planned = plan.targets[outcome.index];
  assert(writer !== undefined && planned !== undefined, 'a planned target can be written');
  const seed = outcome.contentId === undefined ? undefined : contentSeed(outcome.contentId);
  const layout = seed === undefined ? planned.layout : finalLayout(format, planned, seed);
  await writer.finish({ layout, sinks, runs: spool.read(), ends: outcome.ends, codecs: outcome.codecs });
  if (layout.ascending) await writePrologue(layout, sinks, writer.prologue?.(layout));
}

async function writePrologue(
  layout: TargetLayout,
  sinks: readonly ByteSink[],
  prologue: Uint8Array | undefined,
): Promise<void> {
  if (prologue === undefined) return;
  const own = sinks[layout.files.findIndex((file) => file.name === '')];
  assert(own !== undefined, 'an image has a file of its own');
  await own.write(0, prologue);
  await own.flush();
}

async function copy(
  plan: ConversionPlan,
  ports: ConversionPorts,
  work: { readonly collector: ResultCollector; readonly start: CollectedState },
): Promise<void> {
  const { collector, start } = work;
  const { map, signal, now, onProgress } = ports;
  const meter = progressMeter('copy', plan.dataChunks * plan.chunkSize, {
    now,
    onProgress,
    bytesDone: start.chunksDone * plan.chunkSize,
  });
  const checkpointing = checkpointer(ports, collector, plan.chunkSize);
  const job: LaneJob = {
    virtualSize: plan.source.virtualSize,
    map,
    control: createControlMemory(
      ports.shared,
      start.nextChunk,
      start.targets.map((target) => target.cursor),
    ),
    digest: ports.digest,
    layouts: plan.targets.map((target) => target.layout),
    ...(plan.unseen === undefined ? {} : { unseen: plan.unseen }),
    readAhead: isWorthReadingAhead(plan.source.dataBytes),
    ...(ports.reflink === undefined ? {} : { reflink: ports.reflink }),
    ...(plan.zeroRule === undefined ? {} : { zeroRule: plan.zeroRule }),
  };
  const onResults = (results: readonly ChunkResult[]): void => {
    collector.accept(results);
    const { chunksDone, nextChunk } = collector.state();
    ports.onCopied?.(nextChunk * plan.chunkSize);
    meter.update(chunksDone * plan.chunkSize);
    checkpointing.consider(chunksDone * plan.chunkSize);
  };
  try {
    await ports.lanes(job, onResults, signal);
  } finally {
    await checkpointing.settled();
  }
  meter.finish();
}

/** Saves checkpoints beside the running lanes, one at a time. */
interface Checkpointer {
  /** Begins a checkpoint when enough has been done since the last. */
  consider(bytesDone: number): void;
  /** Returns when none is under way; throws when one failed. */
  settled(): Promise<void>;
}

function checkpointer(ports: ConversionPorts, collector: ResultCollector, chunkSize: number): Checkpointer {
  const checkpoints = ports.checkpoints;
  let savedAt = collector.state().chunksDone * chunkSize;
  let running: Promise<void> | undefined;
  let failure: { readonly error: unknown } | undefined;
  const save = async (): Promise<void> => {
    if (checkpoints === undefined) return;
    const state = collector.state();
    const checkpoint: Checkpoint = { version: 1, planDigest: checkpoints.planDigest, state };
    for (const { sinks, spool } of ports.targets) {
      for (const sink of sinks) await sink.flush();
      await spool.flush();
    }
    await checkpoints.store.save(checkpoint);
  };
  return {
    consider(bytesDone) {
      if (checkpoints === undefined || running !== undefined || bytesDone - savedAt < checkpoints.intervalBytes) return;
      savedAt = bytesDone;
      running = save()
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => {
          running = undefined;
        });
    },
    async settled() {
      await running;
      if (failure !== undefined) throw failure.error;
    },
  };
}
