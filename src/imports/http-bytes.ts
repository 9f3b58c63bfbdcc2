import { setTimeout as pause } from 'node:timers/promises'
import type { Dispatcher } from 'undici'
import { ConfigError, StorageUnavailable } from '../lib/errors.ts'
import type { ByteSource, FoundBytes } from './bytes.ts'
import type { ImportedRecord } from './records.ts'

export interface HomeserverAddress {
  /** Base URL of the client-server API, without a path. */
  readonly baseUrl: string
  /** Of an administrator of the homeserver: only they may have what is quarantined. */
  readonly token: string
}

interface Parts {
  readonly dispatcher: Dispatcher
  readonly signal: AbortSignal
  /** Between attempts, in ms; a second, if not given, and twice as long each time. */
  readonly waitMs?: number
}

const ATTEMPTS = 4
/** Of one that only wants to be asked less often. */
const PATIENT_ATTEMPTS = 30
const LONGEST_WAIT_MS = 60_000
const MOST_REDIRECTS = 5
const NO_ENDPOINT = 'M_UNRECOGNIZED'
/** The authenticated endpoint, and the one before Matrix 1.11. */
const PATHS = ['/_matrix/client/v1/media/download/', '/_matrix/media/v3/download/']

/**
 * Files that the homeserver itself sends. It looks for those of other servers there if it has lost them, so that missing ones take their
 * time. What is no answer about a file is never taken for a missing one.
 */
export function httpBytes({ baseUrl, token }: HomeserverAddress, parts: Parts): ByteSource {
  const base = baseUrl.replace(/\/$/, '')
  return {
    name: `the homeserver at ${base}`,
    mayBreakOff: true,
    async find(record) {
      let said = ''
      for (const path of PATHS) {
        const url = new URL(`${base}${path}${nameIn(record)}`)
        const { answer, isElsewhere } = await getFollowing(url, token, parts)
        if (answer.statusCode === 200) return found(answer)
        said = `${answer.statusCode} ${(await answer.body.text()).slice(0, 200)}`
        if (isElsewhere && answer.statusCode === 404) return undefined
        refuseWrongToken(answer.statusCode, record, { base, said })
        if (isWithoutEndpoint(answer.statusCode, said)) continue
        if (answer.statusCode === 404) return undefined
        throw new Error(`GET ${shown(url)} answered ${said}`)
      }
      throw new ConfigError([
        `nobody at ${base} sends media to clients (${said}): give the address of the homeserver itself; its own media repository has to be on`,
      ])
    },
  }
}

function nameIn({ origin, mediaId, quarantinedBy }: ImportedRecord): string {
  const name = `${encodeURIComponent(origin)}/${encodeURIComponent(mediaId)}`
  return quarantinedBy === null ? name : `${name}?admin_unsafely_bypass_quarantine=true`
}

type Answer = Dispatcher.ResponseData

function found({ headers, body }: Answer): FoundBytes {
  const length = Number(headers['content-length'] ?? Number.NaN)
  return {
    size: Number.isSafeInteger(length) ? length : undefined,
    read: () => body,
    async [Symbol.asyncDispose]() {
      body.on('error', () => {}).destroy()
    },
  }
}

interface Said {
  readonly base: string
  readonly said: string
}

/** A wrong token is wrong for every file: then nothing is missing. */
function refuseWrongToken(status: number, { quarantinedBy }: ImportedRecord, { base, said }: Said): void {
  if (status !== 401 && !(status === 403 && quarantinedBy !== null)) return
  throw new ConfigError([`the homeserver at ${base} refused the access token (${said}): give an administrator's`])
}

/** A homeserver gives a reason with its 404; others that answer in its place do not. */
const isWithoutEndpoint = (status: number, said: string) =>
  status === 405 || said.includes(NO_ENDPOINT) || (status === 404 && !said.includes('errcode'))

/** Without what may be a secret. */
const shown = ({ origin, pathname }: URL) => origin + pathname

/** Files may lie elsewhere: Matrix 1.11 lets homeservers send callers there. The token goes to the same host only. */
async function getFollowing(first: URL, token: string, parts: Parts): Promise<Followed> {
  let url = first
  for (let followed = 0; ; followed++) {
    const isSafe = url.host === first.host || (url.hostname === first.hostname && url.protocol === 'https:')
    const answer = await getPatiently(url, isSafe ? { authorization: `Bearer ${token}` } : {}, parts)
    const location = [answer.headers.location].flat()[0]
    if (answer.statusCode < 300 || answer.statusCode > 399 || location === undefined) {
      return { answer, isElsewhere: !isSafe }
    }
    await answer.body.dump()
    if (followed === MOST_REDIRECTS) throw new Error(`GET ${shown(first)} leads on and on, last to ${url.origin}`)
    url = new URL(location, url)
  }
}

interface Followed {
  readonly answer: Answer
  /** Another host answered. */
  readonly isElsewhere: boolean
}

/** What may be another answer in a moment is asked again. */
async function getPatiently(
  url: URL,
  authorization: { readonly authorization?: string },
  { dispatcher, signal, waitMs = 1000 }: Parts,
): Promise<Answer> {
  const { request } = await import('undici')
  const headers = { ...authorization, 'user-agent': 'Cellarium' }
  for (let attempt = 1; ; attempt++) {
    const answer = await request(url, { dispatcher, signal, headers }).catch((cause: unknown) => {
      signal.throwIfAborted()
      // Nobody is there: that says nothing about the file, and the next one would fare no better.
      if (attempt >= ATTEMPTS) throw new StorageUnavailable(`GET ${shown(url)} failed`, { cause })
    })
    if (answer && answer.statusCode < 500 && answer.statusCode !== 429) return answer
    const wait = answer?.statusCode === 429 ? await wantedWait(answer) : undefined
    await answer?.body.dump()
    if (attempt >= (wait === undefined ? ATTEMPTS : PATIENT_ATTEMPTS)) {
      throw new Error(`GET ${shown(url)} answered ${answer?.statusCode}`)
    }
    const next = wait === undefined ? waitMs * 2 ** (attempt - 1) : Math.max(waitMs, wait)
    await pause(Math.min(LONGEST_WAIT_MS, next), undefined, { signal })
  }
}

/** How long a homeserver wants us to wait, in ms; undefined: it does not say. */
async function wantedWait({ headers, body }: Answer): Promise<number | undefined> {
  const text = await body.text()
  const inBody = /"retry_after_ms"\s*:\s*(\d+)/.exec(text)?.[1]
  if (inBody !== undefined) return Number(inBody)
  const seconds = Number(headers['retry-after'] ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined
}
