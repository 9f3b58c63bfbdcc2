import { createHmac } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { Candidate, Verdict } from './gate.ts'

export interface HookRequest {
  readonly url: string
  /** Empty: not signed. */
  readonly secret: string
  /** From the first byte to the last, in ms. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
  /** In ms since 1970. */
  readonly now: number
}

const LARGEST_ANSWER = 64 * 1024
const LONGEST_REASON = 500
const ACTIONS = ['allow', 'report', 'quarantine', 'reject'] as const

/**
 * Asks a hook about a file: `metadata` (JSON) is the body, or, where the file is, the header `Cellarium-Media` (base64url). The
 * signature is of the metadata, which has the hash of the file. The address is the administrator's own and is not guarded; redirects
 * are not followed.
 *
 * @throws {Error} when no verdict comes in time
 */
export async function ask(hook: HookRequest, metadata: string, file?: Candidate['staged']): Promise<Verdict> {
  const late = AbortSignal.timeout(Math.ceil(hook.timeoutMs))
  try {
    return await post(hook, metadata, file, AbortSignal.any([hook.signal, late]))
  } catch (cause) {
    hook.signal.throwIfAborted()
    if (late.aborted) throw new Error(`${placeOf(hook)} gave no verdict within ${hook.timeoutMs} ms`, { cause })
    throw new Error(`${placeOf(hook)}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

async function post(
  hook: HookRequest,
  metadata: string,
  file: Candidate['staged'] | undefined,
  signal: AbortSignal,
): Promise<Verdict> {
  const { request } = await import('undici')
  const content = file ? createReadStream(file.path) : undefined
  try {
    const { statusCode, body } = await request(hook.url, {
      method: 'POST',
      signal,
      headers: { accept: 'application/json', ...signature(hook, metadata), ...describe(metadata, file) },
      body: content ?? metadata,
    })
    const text = await readText(body)
    if (statusCode !== 200) throw new Error(`it answered ${statusCode} instead of 200`)
    return verdictOf(text)
  } finally {
    content?.destroy()
  }
}

function describe(metadata: string, file: Candidate['staged'] | undefined): Record<string, string> {
  if (!file) return { 'content-type': 'application/json' }
  return {
    'content-type': 'application/octet-stream',
    'content-length': String(file.size),
    'cellarium-media': Buffer.from(metadata).toString('base64url'),
  }
}

/** With the time, so that nobody who overhears a request can send it again later. */
function signature({ secret, now }: HookRequest, metadata: string): Record<string, string> {
  if (secret === '') return {}
  const seconds = Math.floor(now / 1000)
  const mac = createHmac('sha256', secret).update(`${seconds}.${metadata}`).digest('hex')
  return { 'cellarium-signature': `t=${seconds},v1=${mac}` }
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > LARGEST_ANSWER) throw new Error(`it answered more than ${LARGEST_ANSWER} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function verdictOf(text: string): Verdict {
  const { verdict, reason, message } = objectIn(text)
  const action = ACTIONS.find((one) => one === verdict)
  if (!action) throw new Error(`its verdict is ${JSON.stringify(verdict)} instead of one of ${ACTIONS.join(', ')}`)
  if (action === 'allow') return { action, reason: '' }
  const told = typeof message === 'string' ? { told: message.slice(0, LONGEST_REASON) } : {}
  return { action, reason: typeof reason === 'string' ? reason.slice(0, LONGEST_REASON) : 'it gave no reason', ...told }
}

function objectIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return { ...value }
  } catch {
    // What is no JSON is no object either.
  }
  throw new Error('it answered 200 without a JSON object')
}

/** Without what may be secret in an address. */
function placeOf({ url }: HookRequest): string {
  const { origin, pathname } = new URL(url)
  return origin + pathname
}
