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
const NO_ENDPOINT = 'M_UNRECOGNIZED'
/** The authenticated endpoint, and the one before Matrix 1.11. */
const PATHS = ['/_matrix/client/v1/media/download/', '/_matrix/media/v3/download/']

/**
 * Files that the homeserver itself sends. It looks for those of other servers there if it has lost them, so that missing ones take their
 * time.
 */
export function httpBytes({ baseUrl, token }: HomeserverAddress, parts: Parts): ByteSource {
  const base = baseUrl.replace(/\/$/, '')
  return {
    name: `the homeserver at ${base}`,
    async find(record) {
      for (const path of PATHS) {
        const answer = await getPatiently(`${base}${path}${nameIn(record)}`, token, parts)
        if (answer.statusCode === 200) return found(answer)
        const text = await answer.body.text()
        refuseUnlessMissing(answer.statusCode, text, base)
        if (!isWithoutEndpoint(answer.statusCode, text)) return undefined
      }
      return undefined
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

/** A wrong token is wrong for every file: then nothing is missing. */
function refuseUnlessMissing(status: number, text: string, base: string): void {
  if (status !== 401 && status !== 403) return
  const said = text.slice(0, 200)
  throw new ConfigError([
    `the homeserver at ${base} refused the access token (${status} ${said}): give an administrator's`,
  ])
}

const isWithoutEndpoint = (status: number, text: string) => status === 405 || text.includes(NO_ENDPOINT)

/** What may be another answer in a moment is asked again. */
async function getPatiently(url: string, token: string, { dispatcher, signal, waitMs = 1000 }: Parts): Promise<Answer> {
  const { request } = await import('undici')
  for (let attempt = 1; ; attempt++) {
    const headers = { authorization: `Bearer ${token}`, 'user-agent': 'Cellarium' }
    const answer = await request(url, { dispatcher, signal, headers }).catch((cause: unknown) => {
      signal.throwIfAborted()
      // Nobody is there: that says nothing about the file, and the next one would fare no better.
      if (attempt === ATTEMPTS) throw new StorageUnavailable(`GET ${url} failed`, { cause })
    })
    if (answer && answer.statusCode < 500 && answer.statusCode !== 429) return answer
    await answer?.body.dump()
    if (attempt === ATTEMPTS) throw new Error(`GET ${url} answered ${answer?.statusCode}`)
    await pause(waitMs * 2 ** (attempt - 1), undefined, { signal })
  }
}
