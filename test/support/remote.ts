/** A Matrix server with files, as others see it: on the loopback, over TLS, its answers as slow and as wrong as a test wants. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import type { JsonObject } from '../../src/matrix/json.ts'
import { type Authority, makeAuthority } from './authority.ts'
import { ALICE, type AppOptions, startApp, type TestApp } from './app.ts'
import { temporaryFolder } from './folder.ts'
import {
  type Conversation,
  head,
  mixed,
  mixedBody,
  response,
  type Script,
  startScriptedOrigin,
} from './scripted-origin.ts'

export interface RemoteServer extends AsyncDisposable {
  /** Its server name. */
  readonly name: string
  readonly authority: Authority
  /** Puts a file there and gives `server/MEDIA_ID`. */
  readonly put: (file: Uint8Array | Script) => string
  /** What it answers from now on who asks for its keys. */
  readonly publish: (keys: JsonObject) => void
  /** How often it was asked for this file. */
  readonly asked: (media: string) => number
  /** With which `timeout_ms` it was asked. */
  readonly timeouts: (media: string) => (string | null)[]
}

/** Needs `describeWith('openssl', …)`. What is not there is answered 404. */
export async function startRemoteServer(): Promise<RemoteServer> {
  await using cleanup = new AsyncDisposableStack()
  const authority = cleanup.use(await makeAuthority())
  const certificate = await authority.issue('127.0.0.1')
  const files = new Map<string, Script>([['version', version]])
  const script: Script = async (talk, request) => await (files.get(idOf(request.target)) ?? nothing)(talk, request)
  const origin = cleanup.use(await startScriptedOrigin({ certificate, script }))
  const name = `127.0.0.1:${origin.port}`
  const requestsFor = (media: string) =>
    origin.requests.filter(({ target }) => target.startsWith(SIGNED) && idOf(target) === media.split('/')[1])
  let count = 0
  const owned = cleanup.move()
  return {
    name,
    authority,
    put: (file) => {
      const mediaId = `file${count++}`
      files.set(mediaId, typeof file === 'function' ? file : async (talk) => await talk.send(mixed(file)))
      return `${name}/${mediaId}`
    },
    publish: (keys) => void files.set('server', async (talk) => await talk.send(response(200, keys))),
    asked: (media) => requestsFor(media).length,
    timeouts: (media) =>
      requestsFor(media).map(({ target }) => new URL(target, 'https://any').searchParams.get('timeout_ms')),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const SIGNED = '/_matrix/federation/v1/media/download/'
const idOf = (target: string) => /\/([^/?]*)(?:\?|$)/.exec(target)?.[1] ?? ''
const nothing: Script = async (talk) =>
  await talk.send(response(404, { errcode: 'M_NOT_FOUND', error: 'no such file' }))
const version: Script = async (talk) => await talk.send(response(200, { server: { name: 'test', version: '1' } }))

const BOUNDARY = 'gc0p4Jq0M2Yt08jU534c0p'

export interface Halved {
  readonly script: Script
  /** Resolves with the connection when the first half is sent. */
  readonly begun: Promise<Conversation>
  /** Lets the rest follow. */
  readonly goOn: () => void
}

/** Sends the beginning of a file at once and the rest later; `announced`: with the length of the whole. */
export function halved(file: Buffer, { announced = true, first = file.length / 2 } = {}): Halved {
  const begun = Promise.withResolvers<Conversation>()
  const rest = Promise.withResolvers<void>()
  const body = mixedBody(file)
  const length = announced ? [`Content-Length: ${body.length}`] : ['Connection: close']
  const middle = Math.floor(first) + (body.length - file.length)
  return {
    begun: begun.promise,
    goOn: () => rest.resolve(),
    script: async (talk) => {
      await talk.send(head(200, [`Content-Type: multipart/mixed; boundary=${BOUNDARY}`, ...length]))
      await talk.send(body.subarray(0, middle))
      begun.resolve(talk)
      await Promise.race([rest.promise, talk.onceHungUp])
      await talk.send(body.subarray(middle))
      if (!announced) talk.end()
    },
  }
}

/** What a homeserver's entry and a configuration need, so that it asks this server. */
export async function asking(
  folder: string,
): Promise<{ readonly homeserver: { readonly signingKeyPath: string }; readonly federation: object }> {
  const signingKeyPath = join(folder, 'signing.key')
  await writeFile(signingKeyPath, `ed25519 a_test ${randomBytes(32).toString('base64').replace(/=+$/, '')}\n`)
  return { homeserver: { signingKeyPath }, federation: { disallowedNetworks: [] } }
}

export interface Federated extends AsyncDisposable {
  readonly app: TestApp
  readonly remote: RemoteServer
}

/** A Cellarium that asks a remote server. */
export async function startFederated(options: AppOptions = {}): Promise<Federated> {
  await using cleanup = new AsyncDisposableStack()
  const remote = cleanup.use(await startRemoteServer())
  const { path: folder } = cleanup.use(await temporaryFolder())
  const { homeserver, federation } = await asking(folder)
  const own = options.config?.['federation']
  const app = cleanup.use(
    await startApp({
      ...options,
      homeserver: { ...homeserver, ...options.homeserver },
      config: { ...options.config, federation: { ...federation, ...(typeof own === 'object' ? own : {}) } },
      network: { authorities: [remote.authority.certificate] },
    }),
  )
  const owned = cleanup.move()
  return { app, remote, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const CLIENT = '/_matrix/client/v1/media'
export const downloadOf = (media: string) => `${CLIENT}/download/${media}`
export const legacyDownloadOf = (media: string) => `/_matrix/media/v3/download/${media}`
export const thumbnailOf = (media: string) => `${CLIENT}/thumbnail/${media}?width=32&height=32&method=crop`

/** Begins a download as Alice; resolves when there is a head. */
export async function begin({ port }: TestApp, media: string): Promise<IncomingMessage> {
  const headers = { host: 'example.org', authorization: `Bearer ${ALICE.token}` }
  const request = get({ host: '127.0.0.1', port, path: downloadOf(media), headers, agent: false })
  request.on('error', () => {})
  const closed = once(request, 'close').then(() => Promise.reject(new Error('the connection ended without an answer')))
  const [response]: IncomingMessage[] = await Promise.race([once(request, 'response'), closed])
  if (!response) throw new Error('there was no answer')
  response.on('error', () => {})
  return response
}

/** The rest of an answer; rejects with `aborted` when it breaks off. */
export async function readWhole(response: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return Buffer.concat(chunks)
}
