/** Traces to an OpenTelemetry collector, for administrators who have one. Off, nothing of it is loaded. */

import type { Span } from '@opentelemetry/api'

import { ConfigError } from './errors.ts'
import { redactUrl } from './redact.ts'

type Environment = Readonly<Record<string, string | undefined>>

export interface Tracing extends AsyncDisposable {
  /** Sends what is waiting; for before the process ends. */
  [Symbol.asyncDispose](): Promise<void>
}

export interface TracingParts {
  /** The release that traces name. */
  readonly version: string
  readonly load?: typeof loadPackages
}

/** Asked for by machines all day long, and of no interest. */
const UNTRACED = ['/metrics', '/_media/metrics', '/healthz']

/**
 * True if OpenTelemetry's own environment variables ask for traces: an OTLP endpoint or an exporter is named, and neither
 * `OTEL_SDK_DISABLED=true` nor `OTEL_TRACES_EXPORTER=none` forbids it.
 */
export function wantsTracing(env: Environment): boolean {
  if (env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true' || env['OTEL_TRACES_EXPORTER'] === 'none') return false
  const asking = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_TRACES_EXPORTER']
  return asking.some((name) => (env[name] ?? '') !== '')
}

/**
 * Starts tracing if the environment asks for it: one span for each request served, each call out and each database query.
 * Must be awaited before node:http, undici or pg are imported for the first time, because they are instrumented while they
 * load. Everything else about it (endpoint, protocol, sampling, service name) is read by OpenTelemetry from `OTEL_…` itself.
 * Throws `ConfigError` if it is asked for and the optional packages are missing.
 */
export async function startTracing(env: Environment, parts: TracingParts): Promise<Tracing | undefined> {
  if (!wantsTracing(env)) return undefined
  const { sdkNode, http, undici, pg } = await packages(parts)
  const { NodeSDK, resources } = sdkNode
  const sdk = new NodeSDK({
    resource: resources.resourceFromAttributes({ 'service.name': 'cellarium', 'service.version': parts.version }),
    // Not the usual ones: the command line and the user it runs as are nobody's business.
    resourceDetectors: env['OTEL_NODE_RESOURCE_DETECTORS']
      ? undefined
      : [resources.hostDetector, resources.envDetector],
    instrumentations: [
      new http.HttpInstrumentation({
        ignoreIncomingRequestHook: ({ url = '' }) => UNTRACED.includes(url),
        applyCustomAttributesOnSpan: (span, request) => hideTokens(span, urlOf(request)),
      }),
      new undici.UndiciInstrumentation({
        requestHook: (span, { origin, path }) => hideTokens(span, `${origin}${path}`),
      }),
      new pg.PgInstrumentation(),
    ],
    // Traces only: metrics are Prometheus's and logs are on standard output.
    metricReaders: [],
    logRecordProcessors: [],
  })
  sdk.start()
  return { [Symbol.asyncDispose]: () => sdk.shutdown() }
}

async function packages({ load = loadPackages }: TracingParts) {
  try {
    return await load()
  } catch (cause) {
    const problem =
      'OTEL_… variables ask for traces, but the optional @opentelemetry packages cannot be loaded: install with ' +
      `optional dependencies, or set OTEL_SDK_DISABLED=true (${String(cause)})`
    throw new ConfigError([problem])
  }
}

async function loadPackages() {
  const [sdkNode, http, undici, pg] = await Promise.all([
    import('@opentelemetry/sdk-node'),
    import('@opentelemetry/instrumentation-http'),
    import('@opentelemetry/instrumentation-undici'),
    import('@opentelemetry/instrumentation-pg'),
  ])
  return { sdkNode, http, undici, pg }
}

function urlOf(request: object): string {
  return 'url' in request ? String(request.url) : ''
}

/** Overwrites what the instrumentations noted of an address that carries a token (by their old and new attribute names). */
function hideTokens(span: Span, url: string): void {
  const safe = redactUrl(url)
  if (safe === url) return
  const query = safe.slice(safe.indexOf('?') + 1)
  span.setAttributes({ 'http.target': safe, 'http.url': safe, 'url.full': safe, 'url.query': query })
}
