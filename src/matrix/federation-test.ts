import { Refused } from '../lib/errors.ts'
import type { Step } from '../lib/steps.ts'
import type { Federation } from './federation-door.ts'
import { isServerName } from './ids.ts'

/** MMR's fields, and the steps. */
export interface FederationTest {
  /** Where it would be asked; the first target where there are several. */
  readonly base_url: string
  /** What it is called in `Host`. */
  readonly hostname: string
  readonly versions_response: unknown
  readonly steps: readonly TimedStep[]
}

interface TimedStep {
  readonly step: string
  readonly duration_ms: number
  readonly result?: unknown
  readonly error?: string
}

const VERSION = '/_matrix/federation/v1/version'
const IDLE_MS = 15_000
const MOST_BYTES = 64 * 1024

/**
 * Finds a server as if for the first time and asks it which software it runs.
 *
 * @throws {Refused} `origin_unavailable` when that fails, with the steps up to there
 */
export async function testFederation(
  { origins, lookup }: Pick<Federation, 'origins' | 'lookup'>,
  serverName: string,
  signal: AbortSignal,
): Promise<FederationTest> {
  if (!isServerName(serverName)) throw new Refused('bad_parameter', `${serverName} is no server name`)
  const steps: TimedStep[] = []
  const trace = ({ durationMs, ...step }: Step) => void steps.push({ ...step, duration_ms: durationMs })
  try {
    const request = { method: 'GET', path: VERSION, signal, idleMs: IDLE_MS } as const
    const { destination, response } = await origins.probe(serverName, request, trace)
    const versions = await readVersions(response.body)
    if (response.status !== 200) throw new Error(`${VERSION} answered ${response.status}`)
    const [first] = destination.targets
    const scheme = destination.tlsName === undefined ? 'http' : 'https'
    for (const { host, priority } of destination.targets) {
      if (priority !== undefined) await reportAlias(lookup, host, trace)
    }
    return {
      base_url: `${scheme}://${first?.host.includes(':') ? `[${first.host}]` : first?.host}:${first?.port}`,
      hostname: destination.host,
      versions_response: versions,
      steps,
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Refused('origin_unavailable', `${serverName} cannot be reached: ${why}`, { cause, fields: { steps } })
  }
}

/** The target of an SRV record must not be an alias (RFC 2782). It works here, and may not work elsewhere. */
async function reportAlias(lookup: Pick<Federation['lookup'], 'alias'>, host: string, trace: (step: Step) => void) {
  const alias = await lookup.alias(host).catch(() => undefined)
  if (alias === undefined) return
  const error = `is an alias of ${alias}, which the target of an SRV record must not be: some servers may not reach it`
  trace({ step: `alias of ${host}`, durationMs: 0, error })
}

async function readVersions(body: AsyncIterable<Uint8Array>): Promise<unknown> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    size += chunk.length
    if (size > MOST_BYTES) throw new Error(`${VERSION} answered with more than ${MOST_BYTES} bytes`)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error(`${VERSION} answered with what is no JSON: ${JSON.stringify(text.slice(0, 100))}`, { cause })
  }
}
