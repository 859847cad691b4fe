import type { Attributes, Context, Span } from '@opentelemetry/api';
import { context, propagation, SpanStatusCode, trace } from '@opentelemetry/api';

/** Does the work within a span; a failure is noted in it by its code, never by its text. Costs next to nothing while nobody exports. */
export function inSpan<T>(name: string, attributes: Attributes, work: () => Promise<T>): Promise<T> {
  return trace.getTracer('diskmorph').startActiveSpan(name, { attributes }, async (span) => {
    try {
      return await work();
    } catch (error) {
      spanFailed(span, error);
      throw error;
    } finally {
      span.end();
    }
  });
}

/** Notes that what the span is about has failed. */
export function spanFailed(span: Span, error: unknown): void {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'internal';
  span.setAttribute('error.type', code);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

/** The context in which a call goes on that came with these headers. */
export function contextOfCall(headers: Readonly<Record<string, unknown>>): Context {
  return propagation.extract(context.active(), headers);
}

/** Ends exporting. */
export interface TraceExport {
  close(): Promise<void>;
}

/**
 * Exports spans by OTLP over HTTP where the environment says so in OpenTelemetry's own variables
 * (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`); else nothing of it is even loaded.
 */
export async function openTraces(
  version: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<TraceExport | undefined> {
  const endpoint = environment['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || environment['OTEL_EXPORTER_OTLP_ENDPOINT'];
  const off = environment['OTEL_SDK_DISABLED'] === 'true' || environment['OTEL_TRACES_EXPORTER'] === 'none';
  if (!endpoint || off) return undefined;
  const { exportTraces } = await import('./trace-export.ts');
  return exportTraces(version, environment);
}
