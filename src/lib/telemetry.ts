/** Error reports to Sentry, for administrators who want them. Off, nothing of it is loaded. */

import type * as SentryNode from '@sentry/node'
import type { ErrorEvent, NodeOptions } from '@sentry/node'

import type { Log } from './log.ts'
import { redact } from './redact.ts'

/** MMR's `sentry` keys. */
export interface SentryOptions {
  readonly enabled: boolean
  readonly dsn: string
  readonly environment: string
  readonly debug: boolean
}

/** What may be told beside the error: words of ours, never what a user sent. */
export interface ReportContext {
  readonly requestId?: string
  /** The route's or task's name. */
  readonly action?: string
}

export interface Reporter extends AsyncDisposable {
  /** Sends the error on; returns at once and never throws. */
  report(error: unknown, context?: ReportContext): void
}

/** What of the package is used. */
type Sentry = Pick<
  typeof SentryNode,
  'initWithoutDefaultIntegrations' | 'captureException' | 'close' | 'dedupeIntegration' | 'linkedErrorsIntegration'
>

export interface ReporterParts {
  /** The release that reports name. */
  readonly version: string
  readonly log: Log
  readonly load?: () => Promise<Sentry>
}

const FLUSH_MS = 2_000

/** Where the program is installed, which may be somebody's home. */
const INSTALLATION = /^.*\/(?=(?:src|dist|node_modules)\/)/

/** For servers without Sentry. */
export const silentReporter: Reporter = {
  report: () => undefined,
  [Symbol.asyncDispose]: () => Promise.resolve(),
}

/**
 * Opens what `internalError` reports to; silent unless `enabled`. A missing package or an unusable DSN is one warning, since
 * nobody's server should stay down because it cannot report errors. Disposing sends what is waiting, for at most 2 s.
 */
export async function openReporter(options: SentryOptions, parts: ReporterParts): Promise<Reporter> {
  if (!options.enabled) return silentReporter
  const sentry = await load(parts)
  if (!sentry) return silentReporter
  const client = sentry.initWithoutDefaultIntegrations(clientOptions(options, parts.version, sentry))
  if (!client?.getDsn()) {
    parts.log.warn('sentry.dsn is not a DSN (https://key@host/project): errors are only logged')
    return silentReporter
  }
  return {
    report(error, context = {}) {
      sentry.captureException(error instanceof Error ? error : new Error(String(error)), { tags: { ...context } })
    },
    async [Symbol.asyncDispose]() {
      await sentry.close(FLUSH_MS)
    },
  }
}

async function load({ log, load = () => import('@sentry/node') }: ReporterParts): Promise<Sentry | undefined> {
  try {
    return await load()
  } catch (error) {
    log.warn(
      { err: error },
      'sentry.enabled needs the package @sentry/node, which cannot be loaded: errors are only logged',
    )
    return undefined
  }
}

/** Errors and nothing else: no tracing, no breadcrumbs, no sessions, no listening in on the process. */
function clientOptions(options: SentryOptions, version: string, sentry: Sentry): NodeOptions {
  return {
    dsn: options.dsn,
    environment: options.environment === '' ? undefined : options.environment,
    release: version,
    debug: options.debug,
    integrations: [sentry.linkedErrorsIntegration(), sentry.dedupeIntegration()],
    sendDefaultPii: false,
    includeServerName: false,
    sendClientReports: false,
    maxBreadcrumbs: 0,
    skipOpenTelemetrySetup: true,
    registerEsmLoaderHooks: false,
    beforeSend: withoutParticulars,
  }
}

/** Leaves of a report what is ours: kind of error, wording, stack, version and tags. */
function withoutParticulars(event: ErrorEvent): ErrorEvent {
  const { event_id, timestamp, level, platform, release, environment, tags, exception, sdk, type } = event
  for (const each of exception?.values ?? []) {
    if (each.value !== undefined) each.value = withoutNames(each.value)
    for (const frame of each.stacktrace?.frames ?? []) {
      delete frame.vars
      delete frame.abs_path
      if (frame.filename) frame.filename = frame.filename.replace(INSTALLATION, '')
    }
  }
  return { event_id, timestamp, level, platform, release, environment, tags, exception, sdk, type }
}

const QUOTED = /'[^'\n]*'|"[^"\n]*"|`[^`\n]*`|“[^”\n]*”/g
const ADDRESS_OF_MEDIA = /\b[a-z][a-z0-9+.-]{0,20}:\/\/[^\s,;)]+/gi
const USER_ID = /@[^\s:,;)@]*:[^\s,;)]+/g
const PATH = /(?:\.{0,2}\/[^\s,;:)]+)+/g
const IPV4 = /\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b/g
const IPV6 = /(?:\b[0-9a-f]{1,4})?(?:::?[0-9a-f]{1,4}){2,}\b|::1\b/gi

/** An error's wording without what may be a user's: quoted names, addresses, paths, user ids, IP addresses. */
export function withoutNames(message: string): string {
  return redact(message)
    .replace(QUOTED, "'…'")
    .replace(ADDRESS_OF_MEDIA, '(address)')
    .replace(USER_ID, '(user)')
    .replace(PATH, '(path)')
    .replace(IPV4, '(ip)')
    .replace(IPV6, '(ip)')
}
