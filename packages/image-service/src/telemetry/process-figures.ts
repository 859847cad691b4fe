import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Meter, ObservableGauge } from '@opentelemetry/api';

const NANOSECONDS = 1e9;
const MICROSECONDS = 1e6;
/** How finely the lag of the event loop is told. */
const RESOLUTION_MS = 20;

/** Memory, processor time, age and the lag of the event loop of this process. */
export function watchProcess(meter: Meter): void {
  const lag = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  lag.enable();
  const memory = meter.createObservableGauge('process_resident_memory_bytes', { description: 'Memory of the process' });
  const heap = meter.createObservableGauge('nodejs_heap_used_bytes', { description: 'Memory of JavaScript objects' });
  const buffers = meter.createObservableGauge('nodejs_external_memory_bytes', { description: 'Memory of buffers' });
  const cpu = meter.createObservableCounter('process_cpu_seconds', { description: 'Processor time, of all threads' });
  const start = meter.createObservableGauge('process_start_time_seconds', { description: 'Seconds since 1970' });
  const typical = lagGauge(meter, 'p50', 'half of the timers');
  const worst = lagGauge(meter, 'p99', 'one timer of a hundred');
  const most = lagGauge(meter, 'max', 'the latest timer');
  const startedAt = performance.timeOrigin / 1000;
  meter.addBatchObservableCallback(
    (result) => {
      const { rss, heapUsed, external } = process.memoryUsage();
      const { user, system } = process.cpuUsage();
      result.observe(memory, rss);
      result.observe(heap, heapUsed);
      result.observe(buffers, external);
      result.observe(cpu, (user + system) / MICROSECONDS);
      result.observe(start, startedAt);
      result.observe(typical, late(lag.percentile(50)));
      result.observe(worst, late(lag.percentile(99)));
      result.observe(most, late(lag.max));
      lag.reset();
    },
    [memory, heap, buffers, cpu, start, typical, worst, most],
  );
}

/** Named as other programs on Node name it; a label `quantile` would be that of a summary. */
function lagGauge(meter: Meter, which: 'p50' | 'p99' | 'max', who: string): ObservableGauge {
  return meter.createObservableGauge(`nodejs_eventloop_lag_${which}_seconds`, {
    description: `How late ${who} fired since the last look`,
  });
}

/** Timers of the watch itself fire every `RESOLUTION_MS`; what is later than that is lag. In seconds. */
function late(nanoseconds: number): number {
  return Math.max(0, nanoseconds / NANOSECONDS - RESOLUTION_MS / 1000);
}
