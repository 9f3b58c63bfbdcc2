/** A server with one route, which answers files of a folder while they come in from the test. */
import type { IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { createSnapshot, type SnapshotData } from '../../src/config/snapshot.ts'
import { GrowingFile } from '../../src/datastores/growing-file.ts'
import type { Answer, FileAnswer } from '../../src/http/answers.ts'
import type { Call } from '../../src/http/call.ts'
import type { HttpParts } from '../../src/http/parts.ts'
import { RequestLimits } from '../../src/http/request-limits.ts'
import { type HttpServer, startHttp } from '../../src/http/server.ts'
import { openMetrics } from '../../src/lib/metrics.ts'
import { PLAIN } from '../contract/datastore.ts'
import { type FolderUnderTest, openFolder } from '../contract/folder.ts'
import { type HandFed, handFed } from './growing.ts'
import { recordingLog } from './log.ts'

/** A file that comes in. */
export interface Coming {
  readonly path: string
  readonly source: HandFed
  readonly growing: GrowingFile
  /** How it is answered once it is stored. */
  readonly stored: Promise<FileAnswer>
  /** Lets it be stored; until then it is received at the most. */
  readonly allow: () => void
  /** Ends it once it is received, as content that is blocked. */
  readonly refuse: (error: Error) => void
  /** Its bytes are here. */
  readonly received: Promise<unknown>
}

export interface GrowingRoute extends AsyncDisposable {
  readonly port: number
  readonly http: HttpServer
  readonly folder: FolderUnderTest
  /** Begins to receive a file: of so many bytes, if that is announced. */
  readonly coming: (announced?: number) => Coming
  /** A GET, or whatever, of which the test reads the body. */
  readonly ask: (path: string, headers?: Readonly<Record<string, string>>, method?: string) => Promise<IncomingMessage>
}

const LOOKS = { contentType: 'video/mp4', disposition: 'inline', fileName: 'cat.mp4', openRangeBytes: 0 } as const
const HOMESERVER = {
  main: { repo: {}, rateLimit: { enabled: false }, federation: { ignoredHosts: [], onlyHosts: [] } },
  homeservers: [{ name: 'example.org' }],
}

export async function startGrowingRoute(): Promise<GrowingRoute> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await openFolder())
  const files = new Map<string, Coming>()
  const { log } = recordingLog()
  const events = { log, metrics: openMetrics({ version: 'test' }) }
  const requestLimits = new RequestLimits({ clock: { now: () => Date.now() }, events })
  const parts = { config, log, events, requestLimits } as unknown as HttpParts
  const route = {
    action: 'test',
    methods: ['GET', 'HEAD'],
    paths: ['/:name'],
    who: 'anyone',
    handler: (_: HttpParts, call: Call) => answer(call, files.get(call.param('name'))),
  } as const
  const http = cleanup.use(await startHttp(parts, { bindAddress: '127.0.0.1', port: 0, routes: [route] }))
  const owned = cleanup.move()
  return {
    port: http.port,
    http,
    folder,
    coming: (announced) => {
      const file = receive(folder, `file${files.size}`, announced)
      files.set(file.path.slice(1), file)
      return file
    },
    ask: async (path, headers = {}, method = 'GET') => {
      const request = httpRequest({
        host: '127.0.0.1',
        port: http.port,
        path,
        method,
        headers: HOST(headers),
        agent: false,
      })
      request.end()
      const [response] = await once(request, 'response')
      return response
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const config = () => createSnapshot(HOMESERVER as unknown as SnapshotData)

const HOST = (headers: object) => ({ host: 'example.org', ...headers })

async function answer(call: Call, file: Coming | undefined): Promise<Answer> {
  if (!file) throw new Error('no such file')
  const reader = await file.growing.join(call.signal)
  return reader ? { kind: 'growing', ...LOOKS, reader, stored: () => file.stored } : await file.stored
}

function receive({ datastore }: FolderUnderTest, name: string, announced: number | undefined): Coming {
  const source = handFed()
  const growing = new GrowingFile(announced)
  const allowed = Promise.withResolvers<void>()
  const received = datastore.stage(source, { maxBytes: 0, growing })
  const store = async (): Promise<FileAnswer> => {
    try {
      await using staged = await received
      await allowed.promise
      const location = await datastore.put(staged, PLAIN)
      growing.finish()
      const { size, sha256 } = staged
      return { kind: 'file', ...LOOKS, size, tag: sha256, open: () => datastore.open(location) }
    } catch (error) {
      growing.fail(error)
      throw error
    }
  }
  const stored = store()
  stored.catch(() => {})
  return { path: `/${name}`, source, growing, stored, received, allow: allowed.resolve, refuse: allowed.reject }
}
