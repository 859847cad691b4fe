import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import type { Figures, Gauge } from './figures.ts';
import { GAUGES } from './figures.ts';
import { watchProcess } from './process-figures.ts';

/** From a cache hit to an upload of an hour. */
const CALL_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600];
const WORK_SECONDS = [0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600];

/** Begins to count. */
export function openFigures(version: string): Figures {
  const reader = new PrometheusExporter({ preventServerStart: true });
  const provider = new MeterProvider({
    readers: [reader],
    resource: resourceFromAttributes({ 'service.name': 'diskmorph', 'service.version': version }),
  });
  const meter = provider.getMeter('diskmorph');
  const count = (name: string, description: string): Counter => meter.createCounter(name, { description });
  const seconds = (name: string, description: string, explicitBucketBoundaries: number[]): Histogram =>
    meter.createHistogram(name, { description, advice: { explicitBucketBoundaries } });
  const calls = seconds(
    'http_server_request_duration_seconds',
    'Calls, from their first byte to their last',
    CALL_SECONDS,
  );
  const active = meter.createUpDownCounter('http_server_active_requests', { description: 'Calls under way' });
  const received = count('diskmorph_http_received_bytes', 'Bytes that came from clients, headers too');
  const sent = count('diskmorph_http_sent_bytes', 'Bytes that went to clients, headers too');
  const stages = seconds('diskmorph_stage_duration_seconds', 'Stages of tasks, by how they ended', WORK_SECONDS);
  const tasks = count('diskmorph_tasks_ended', 'Tasks by how they ended; code says why they failed');
  const operations = seconds('diskmorph_store_operation_duration_seconds', 'Operations of stores', WORK_SECONDS);
  const stored = count('diskmorph_store_bytes', 'Bytes put into stores and read from them');
  watchProcess(meter);
  const serializer = new PrometheusSerializer(undefined, false, undefined, false, true);
  return {
    callBegan: () => active.add(1),
    callEnded({ method, route, status, seconds, receivedBytes, sentBytes }) {
      active.add(-1);
      const labels = { http_request_method: method, http_route: route };
      calls.record(seconds, { ...labels, http_response_status_code: String(status) });
      received.add(receivedBytes, labels);
      sent.add(sentBytes, labels);
    },
    stageEnded: ({ seconds, ...labels }) => stages.record(seconds, labels),
    taskEnded: (labels) => tasks.add(1, { ...labels }),
    storeUsed({ seconds, bytes, ...labels }) {
      operations.record(seconds, labels);
      if (bytes > 0) stored.add(bytes, { store: labels.store, operation: labels.operation });
    },
    look: (gauges) => lookAtGauges(meter, gauges),
    text: async () => serializer.serialize((await reader.collect()).resourceMetrics),
    close: () => provider.shutdown(),
  };
}

type Meter = ReturnType<MeterProvider['getMeter']>;
type Counter = ReturnType<Meter['createCounter']>;
type Histogram = ReturnType<Meter['createHistogram']>;

function lookAtGauges(meter: Meter, gauges: () => Promise<readonly Gauge[]>): void {
  const instruments = Object.entries(GAUGES).map(([name, description]) => ({
    name,
    instrument: meter.createObservableGauge(name, { description }),
  }));
  meter.addBatchObservableCallback(
    async (result) => {
      const found = await gauges();
      for (const { name, instrument } of instruments) {
        for (const gauge of found) if (gauge.name === name) result.observe(instrument, gauge.value, gauge.labels);
      }
    },
    instruments.map(({ instrument }) => instrument),
  );
}
