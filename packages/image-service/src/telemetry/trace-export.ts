import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import type { Sampler } from '@opentelemetry/sdk-trace';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { TraceExport } from './traces.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Sends spans to where the variables `OTEL_EXPORTER_OTLP_*` say, which the exporter reads itself. Once a process. */
export function exportTraces(version: string, environment: Environment): TraceExport {
  const own = { 'service.name': environment['OTEL_SERVICE_NAME'] ?? 'diskmorph', 'service.version': version };
  const resource = defaultResource()
    .merge(resourceFromAttributes(own))
    .merge(detectResources({ detectors: [envDetector] }));
  const provider = new TracerProvider({
    resource,
    sampler: samplerOf(environment),
    spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter() })],
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(provider);
  return {
    async close() {
      await provider.shutdown();
      trace.disable();
      propagation.disable();
      context.disable();
    },
  };
}

/** `OTEL_TRACES_SAMPLER` and its argument; by its caller's wish, else always, when it is not set. */
function samplerOf(environment: Environment): Sampler {
  const [, parentBased = '', kind = 'always_on'] =
    /^(parentbased_)?(always_on|always_off|traceidratio)$/.exec(
      environment['OTEL_TRACES_SAMPLER'] ?? 'parentbased_always_on',
    ) ?? [];
  const root = rootSampler(kind, Number(environment['OTEL_TRACES_SAMPLER_ARG'] ?? 1));
  return parentBased === '' ? root : new ParentBasedSampler({ root });
}

function rootSampler(kind: string, ratio: number): Sampler {
  if (kind === 'always_off') return new AlwaysOffSampler();
  return kind === 'traceidratio' ? new TraceIdRatioBasedSampler(ratio) : new AlwaysOnSampler();
}
