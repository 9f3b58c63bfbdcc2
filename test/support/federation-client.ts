/** The client that fetches files of other servers, and a scripted one of those, in a small internet. */
import { collect } from './bytes.ts'
import { Buffer } from 'node:buffer'
import { Discovery } from '../../src/matrix/discovery.ts'
import { FederationClient, type RemoteWish } from '../../src/matrix/federation.ts'
import { signingKey, type SigningKey } from '../../src/matrix/keys/signing-key.ts'
import { Origins } from '../../src/matrix/origins.ts'
import { RemoteMediaError } from '../../src/matrix/remote-error.ts'
import { recordingLog } from './log.ts'
import { type RawRequest, type ScriptedOrigin, startScriptedOrigin } from './scripted-origin.ts'
import { type SmallInternet, startSmallInternet } from './small-internet.ts'

export const OURS = 'ours.test'
/** A homeserver of ours without a signing key. */
export const KEYLESS = 'keyless.test'
/** The scripted server's name. */
export const THEIRS = 'theirs.test:8448'
/** Another scripted server, at https://files.test: what `Location` leads to. */
export const FILES = 'files.test'
export const MEDIA_ID = 'a_Media-Id'

export const SIGNED = '/_matrix/federation/v1/media/download/'
export const V3 = '/_matrix/media/v3/download/'
export const R0 = '/_matrix/media/r0/download/'

export interface Fetched {
  readonly contentType: string
  readonly fileName: string | null
  readonly size: number | undefined
  readonly about: { readonly atLeast: number; readonly atMost: number } | undefined
  readonly bytes: Buffer
}

export interface FetchOptions extends Partial<RemoteWish> {
  readonly homeserver?: string
  readonly origin?: string
}

export interface Fetching extends AsyncDisposable {
  readonly internet: SmallInternet
  readonly key: SigningKey
  /** Connections and failures of before are forgotten. */
  renew(): void
  readonly client: () => FederationClient
  readonly theirs: ScriptedOrigin
  readonly files: ScriptedOrigin
  /** What was asked of the scripted server since `renew`, as `signed`, `v3`, `r0` or the path. */
  asked(): readonly string[]
  /** The last request that it got. */
  last(): RawRequest
  /** Fetches and reads a whole file. */
  fetch(options?: FetchOptions): Promise<Fetched>
  /** The error that a fetch ends with. */
  failure(options?: FetchOptions): Promise<RemoteMediaError>
}

export const PATIENT: RemoteWish = {
  mediaId: MEDIA_ID,
  timeoutMs: 20_000,
  maxBytes: 0,
  idleMs: 30_000,
  signal: new AbortController().signal,
}

export async function startFetching(): Promise<Fetching> {
  await using cleanup = new AsyncDisposableStack()
  const internet = cleanup.use(await startSmallInternet())
  const theirs = cleanup.use(
    await startScriptedOrigin({ certificate: await internet.authority.issue('theirs.test', 'other.test') }),
  )
  const files = cleanup.use(await startScriptedOrigin({ certificate: await internet.authority.issue(FILES) }))
  internet.dns.set('theirs.test', { A: ['203.0.113.10'] })
  internet.place('203.0.113.10', 8448, theirs.port)
  internet.dns.set(FILES, { A: ['203.0.113.20'] })
  internet.place('203.0.113.20', 443, files.port)
  const key = signingKey('abc', Buffer.alloc(32, 7))
  let client = newClient(internet, key)
  let before = 0
  const fetch = async ({ homeserver = OURS, origin = THEIRS, ...wish }: FetchOptions = {}): Promise<Fetched> => {
    const { body, ...file } = await client.fetch(homeserver, origin, { ...PATIENT, ...wish })
    return { ...file, bytes: await collect(body) }
  }
  const owned = cleanup.move()
  return {
    internet,
    key,
    theirs,
    files,
    client: () => client,
    renew: () => {
      internet.door.renew()
      client = newClient(internet, key)
      before = theirs.requests.length
    },
    asked: () => theirs.requests.slice(before).map(({ target }) => endpointOf(target)),
    last: () => {
      const request = theirs.requests.at(-1)
      if (!request) throw new Error('nothing was asked of it')
      return request
    },
    fetch,
    failure: async (options) => {
      const error = await fetch(options).catch((problem: unknown) => problem)
      if (error instanceof RemoteMediaError) return error
      throw new Error('the fetch did not fail as it should', { cause: error })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function newClient({ clock, door, lookup }: SmallInternet, key: SigningKey): FederationClient {
  const discovery = new Discovery({ clock, door, lookup, random: () => 0.5, pause: async () => {} })
  const origins = new Origins({ log: recordingLog().log, clock, door, discovery, backoffAt: () => 20 })
  return new FederationClient({
    clock,
    federation: { door, origins, plainHttp: false },
    keyOf: (homeserver) => (homeserver === OURS ? key : undefined),
    isOurs: (name) => name === OURS || name === KEYLESS,
  })
}

function endpointOf(target: string): string {
  const known = Object.entries({ signed: SIGNED, v3: V3, r0: R0 }).find(([, path]) => target.startsWith(path))
  return known?.[0] ?? target
}
