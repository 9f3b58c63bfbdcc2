/**
 * S3 as far as a datastore speaks it, inside the test's own process, and failing on demand. It keeps objects in memory and
 * compares each body with the hash its request is signed with; signatures themselves are checked by the real server.
 */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const OPERATIONS = [
  'PutObject',
  'GetObject',
  'HeadObject',
  'DeleteObject',
  'ListObjectsV2',
  'HeadBucket',
  'CreateMultipartUpload',
  'UploadPart',
  'CompleteMultipartUpload',
  'AbortMultipartUpload',
] as const

/** What a request asks for, in S3's words. */
export type Operation = (typeof OPERATIONS)[number]

/** How a request goes wrong. */
export type Fault =
  /** Refused with this status and code, before its body is read. */
  | { readonly kind: 'refused'; readonly status: number; readonly code: string; readonly headers?: Headers }
  /** Never answered. */
  | { readonly kind: 'hangs' }
  /** The connection is reset as soon as the request is there. */
  | { readonly kind: 'reset' }
  /** Done, but the connection ends instead of the answer. */
  | { readonly kind: 'done without an answer' }
  /** The body ends after so many bytes: with the connection, with a stall, or as if it were whole. */
  | { readonly kind: 'body breaks' | 'body stalls' | 'body is short'; readonly after: number }
  /** Status 200 at first, and an error in the body (CompleteMultipartUpload does that). */
  | { readonly kind: 'error in a 200' }

type Headers = Readonly<Record<string, string>>

export interface Received {
  readonly operation: Operation
  readonly method: string
  readonly key: string
  readonly query: URLSearchParams
  readonly headers: IncomingMessage['headers']
}

export interface StoredInDouble {
  readonly bytes: Buffer
  readonly headers: Headers
  readonly etag: string
  readonly putAt: Date
}

export interface S3Double extends AsyncDisposable {
  readonly port: number
  readonly endpoint: string
  readonly bucket: string
  /** `opts` of a datastore that keeps its objects there. */
  readonly options: Readonly<Record<string, string>>
  readonly objects: Map<string, StoredInDouble>
  /** Multipart uploads that were neither completed nor aborted. */
  readonly uploads: Map<string, ReadonlyMap<number, Buffer>>
  /** Every request so far, the refused ones too. */
  readonly received: Received[]
  /** Has the next `times` requests for `operation` go wrong (one, if not given). */
  readonly fail: (operation: Operation, fault: Fault, times?: number) => void
  /** Has every request go wrong from now on, or only those for these operations. */
  readonly failAll: (fault: Fault, operations?: readonly Operation[]) => void
  /** Nothing goes wrong any more. What hangs already does so for ever. */
  readonly heal: () => void
  /** Ends every connection and accepts none; or listens on its port again. */
  readonly goDown: () => Promise<void>
  readonly comeBack: () => Promise<void>
  /** Requests that are being answered now, and connections that were made so far. */
  readonly active: () => number
  readonly connections: () => number
  /** Most requests for the operation that there were at one time. */
  readonly peak: (operation: Operation) => number
  /** What it demands and how it is; to be changed by tests. */
  readonly settings: {
    /** How far its clock is ahead of ours, in ms; a request signed more than a quarter of an hour off is refused. */
    skewMs: number
    /** The region that requests have to be signed for, if any. */
    region: string | undefined
    /** Objects a page of a list. */
    pageSize: number
    /** Takes away the bucket. */
    bucketMissing: boolean
    /** Waits so long before each chunk of 64 KiB that it sends, in ms. */
    chunkDelayMs: number
  }
}

const SKEW_ALLOWED_MS = 15 * 60_000

class Refusal extends Error {
  readonly status: number
  readonly code: string
  readonly headers: Headers

  constructor(status: number, code: string, headers: Headers = {}) {
    super(code)
    this.status = status
    this.code = code
    this.headers = headers
  }
}

export async function startS3Double(): Promise<S3Double> {
  const bucket = 'media'
  const objects: S3Double['objects'] = new Map()
  const uploads = new Map<string, Map<number, Buffer>>()
  const uploadHeaders = new Map<string, Headers>()
  const received: Received[] = []
  const faults: { readonly operation: Operation; readonly fault: Fault; times: number }[] = []
  const active = new Map<Operation, number>()
  const peaks = new Map<Operation, number>()
  const settings: S3Double['settings'] = {
    skewMs: 0,
    region: undefined,
    pageSize: 1000,
    bucketMissing: false,
    chunkDelayMs: 0,
  }
  const now = () => new Date(Date.now() + settings.skewMs)

  const server = createServer((request, response) => {
    const asked = read(request, bucket)
    received.push(asked)
    const under = (active.get(asked.operation) ?? 0) + 1
    active.set(asked.operation, under)
    peaks.set(asked.operation, Math.max(under, peaks.get(asked.operation) ?? 0))
    response.on('close', () => active.set(asked.operation, (active.get(asked.operation) ?? 1) - 1))
    response.sendDate = false
    response.setHeader('Date', now().toUTCString())
    handle(asked, request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy()
      else if (error instanceof Refusal) refuse(asked, response, error)
      else refuse(asked, response, new Refusal(500, 'InternalError'))
    })
  })

  async function handle(asked: Received, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const fault = takeFault(asked.operation)
    if (fault?.kind === 'hangs') return void request.resume()
    if (fault?.kind === 'reset') return void request.socket.resetAndDestroy()
    if (fault?.kind === 'refused') throw new Refusal(fault.status, fault.code, fault.headers)
    checkSignature(asked, settings, now())
    if (settings.bucketMissing) throw new Refusal(404, 'NoSuchBucket')
    const body = await bodyOf(request)
    const answer = answers[asked.operation](asked, body)
    if (fault?.kind === 'done without an answer') return void request.socket.resetAndDestroy()
    if (fault?.kind === 'error in a 200') answer.body = Buffer.from(errorText('InternalError'))
    await send(response, asked, answer, { fault, chunkDelayMs: settings.chunkDelayMs })
  }

  function takeFault(operation: Operation): Fault | undefined {
    const found = faults.find((entry) => entry.operation === operation && entry.times > 0)
    if (!found) return undefined
    found.times--
    return found.fault
  }

  const store = (key: string, bytes: Buffer, headers: Headers) => {
    const etag = `"${createHash('md5').update(bytes).digest('hex')}"`
    objects.set(key, { bytes, headers, etag, putAt: now() })
    return etag
  }
  const partsOf = ({ query }: Received) => {
    const parts = uploads.get(query.get('uploadId') ?? '')
    if (!parts) throw new Refusal(404, 'NoSuchUpload')
    return parts
  }

  const answers: Readonly<Record<Operation, (asked: Received, body: Buffer) => Answer>> = {
    PutObject: (asked, body) => ({ headers: { ETag: store(asked.key, body, keptHeaders(asked.headers)) } }),
    GetObject: (asked) => objectAnswer(objects.get(asked.key), asked),
    HeadObject: (asked) => objectAnswer(objects.get(asked.key), asked),
    DeleteObject: (asked) => {
      objects.delete(asked.key)
      return { status: 204 }
    },
    HeadBucket: () => ({}),
    ListObjectsV2: (asked) => listAnswer(objects, asked, settings.pageSize),
    CreateMultipartUpload: (asked) => {
      const id = randomBytes(8).toString('hex')
      uploads.set(id, new Map())
      uploadHeaders.set(id, keptHeaders(asked.headers))
      return xml(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`)
    },
    UploadPart: (asked, body) => {
      partsOf(asked).set(Number(asked.query.get('partNumber')), body)
      return { headers: { ETag: `"${createHash('md5').update(body).digest('hex')}"` } }
    },
    CompleteMultipartUpload: (asked) => {
      const parts = [...partsOf(asked)].toSorted(([a], [b]) => a - b).map(([, bytes]) => bytes)
      if (parts.slice(0, -1).some((part) => part.length < 5 * 1024 * 1024)) throw new Refusal(400, 'EntityTooSmall')
      const id = asked.query.get('uploadId') ?? ''
      uploads.delete(id)
      const etag = store(asked.key, Buffer.concat(parts), uploadHeaders.get(id) ?? {})
      return xml(`<CompleteMultipartUploadResult><ETag>${etag}</ETag></CompleteMultipartUploadResult>`)
    },
    AbortMultipartUpload: (asked) => {
      partsOf(asked)
      uploads.delete(asked.query.get('uploadId') ?? '')
      return { status: 204 }
    },
  }

  let port = 0
  async function listen(): Promise<void> {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  }
  async function stop(): Promise<void> {
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }

  await listen()
  let connections = 0
  server.on('connection', () => void connections++)
  const endpoint = `127.0.0.1:${port}`
  return {
    port,
    endpoint,
    bucket,
    options: { endpoint, bucketName: bucket, accessKeyId: 'double', accessSecret: 'secret', ssl: 'false' },
    objects,
    uploads,
    received,
    settings,
    fail: (operation, fault, times = 1) => void faults.push({ operation, fault, times }),
    failAll: (fault, operations = OPERATIONS) =>
      void faults.push(...operations.map((operation) => ({ operation, fault, times: Infinity }))),
    heal: () => void (faults.length = 0),
    goDown: stop,
    comeBack: listen,
    active: () => [...active.values()].reduce((sum, count) => sum + count, 0),
    connections: () => connections,
    peak: (operation) => peaks.get(operation) ?? 0,
    [Symbol.asyncDispose]: stop,
  }
}

interface Answer {
  readonly status?: number
  readonly headers?: Headers
  body?: Buffer
}

function read(request: IncomingMessage, bucket: string): Received {
  const url = new URL(request.url ?? '/', 'http://double')
  const key = decodeURIComponent(url.pathname.slice(`/${bucket}/`.length))
  const { method = 'GET', headers } = request
  return { operation: operationOf(method, key, url.searchParams), method, key, query: url.searchParams, headers }
}

function operationOf(method: string, key: string, query: URLSearchParams): Operation {
  if (key === '') return method === 'HEAD' ? 'HeadBucket' : 'ListObjectsV2'
  if (method === 'POST') return query.has('uploads') ? 'CreateMultipartUpload' : 'CompleteMultipartUpload'
  if (method === 'PUT') return query.has('uploadId') ? 'UploadPart' : 'PutObject'
  if (method === 'DELETE') return query.has('uploadId') ? 'AbortMultipartUpload' : 'DeleteObject'
  return method === 'HEAD' ? 'HeadObject' : 'GetObject'
}

function checkSignature({ headers, query }: Received, settings: S3Double['settings'], now: Date): void {
  const date = String(headers['x-amz-date'] ?? query.get('X-Amz-Date'))
  const signedAt = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'))
  const scope = String(headers.authorization ?? query.get('X-Amz-Credential'))
  if (Number.isNaN(signedAt) || !scope.includes('aws4_request')) throw new Refusal(403, 'AccessDenied')
  if (Math.abs(signedAt - now.getTime()) > SKEW_ALLOWED_MS) throw new Refusal(403, 'RequestTimeTooSkewed')
  const { region } = settings
  if (region !== undefined && !scope.includes(`/${region}/s3/`)) {
    throw new Refusal(400, 'AuthorizationHeaderMalformed', { 'x-amz-bucket-region': region })
  }
}

/** The body, if it is what its request says it is. */
async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  const { 'content-length': length, 'x-amz-content-sha256': announced } = request.headers
  if (body.length > 0 && length === undefined) throw new Refusal(411, 'MissingContentLength')
  if (body.length !== Number(length ?? 0)) throw new Refusal(400, 'IncompleteBody')
  const sha256 = createHash('sha256').update(body).digest('hex')
  if (announced !== undefined && announced !== 'UNSIGNED-PAYLOAD' && announced !== sha256) {
    throw new Refusal(400, 'XAmzContentSHA256Mismatch')
  }
  return body
}

const KEPT = [
  'content-type',
  'content-disposition',
  'cache-control',
  'x-amz-storage-class',
  'x-amz-server-side-encryption',
]

function keptHeaders(headers: IncomingMessage['headers']): Headers {
  return Object.fromEntries(
    KEPT.flatMap((name) => (headers[name] === undefined ? [] : [[name, String(headers[name])]])),
  )
}

function objectAnswer(stored: StoredInDouble | undefined, { headers, query }: Received): Answer {
  if (!stored) throw new Refusal(404, 'NoSuchKey')
  const { bytes, etag, putAt } = stored
  if (headers['if-match'] !== undefined && headers['if-match'] !== etag) throw new Refusal(412, 'PreconditionFailed')
  const overridden = [...query]
    .filter(([name]) => name.startsWith('response-'))
    .map(([name, value]): [string, string] => [name.slice('response-'.length), value])
  const answered = {
    ...stored.headers,
    ...Object.fromEntries(overridden),
    ETag: etag,
    'Last-Modified': putAt.toUTCString(),
    'Accept-Ranges': 'bytes',
  }
  const range = /^bytes=(?<start>\d+)-(?<end>\d+)$/.exec(headers.range ?? '')?.groups
  if (!range) return { headers: answered, body: bytes }
  const [start, end] = [Number(range['start']), Math.min(Number(range['end']), bytes.length - 1)]
  if (start >= bytes.length) throw new Refusal(416, 'InvalidRange')
  const contentRange = `bytes ${start}-${end}/${bytes.length}`
  return { status: 206, headers: { ...answered, 'Content-Range': contentRange }, body: bytes.subarray(start, end + 1) }
}

function listAnswer(objects: S3Double['objects'], { query }: Received, pageSize: number): Answer {
  const after = query.get('continuation-token') ?? ''
  const keys = [...objects.keys()].toSorted().filter((key) => key > after)
  const page = keys.slice(0, pageSize)
  const contents = page.map((key) => {
    const { bytes, putAt } = objects.get(key) ?? { bytes: Buffer.alloc(0), putAt: new Date(0) }
    return `<Contents><Key>${key}</Key><Size>${bytes.length}</Size><LastModified>${putAt.toISOString()}</LastModified></Contents>`
  })
  const more = keys.length > page.length
  const next = more ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : ''
  return xml(`<ListBucketResult><IsTruncated>${more}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`)
}

function xml(text: string): Answer {
  return { headers: { 'Content-Type': 'application/xml' }, body: Buffer.from(`<?xml version="1.0"?>${text}`) }
}

function errorText(code: string): string {
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code} by the double</Message></Error>`
}

function refuse({ method }: Received, response: ServerResponse, { status, code, headers }: Refusal): void {
  response.writeHead(status, { 'Content-Type': 'application/xml', ...headers })
  response.end(method === 'HEAD' ? undefined : errorText(code))
}

const CHUNK = 64 * 1024

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
  })
}

async function send(
  response: ServerResponse,
  { method }: Received,
  { status = 200, headers = {}, body = Buffer.alloc(0) }: Answer,
  { fault, chunkDelayMs }: { readonly fault: Fault | undefined; readonly chunkDelayMs: number },
): Promise<void> {
  const breaking = fault && 'after' in fault ? fault : undefined
  const short = breaking?.kind === 'body is short' ? body.subarray(0, breaking.after) : body
  response.writeHead(status, { ...headers, ...(status === 204 ? {} : { 'Content-Length': short.length }) })
  if (method === 'HEAD' || status === 204) return void response.end()
  const sent = breaking ? body.subarray(0, breaking.after) : body
  for (let position = 0; position < sent.length && !response.destroyed; position += CHUNK) {
    if (chunkDelayMs > 0) await new Promise((resolve) => setTimeout(resolve, chunkDelayMs))
    if (!response.write(sent.subarray(position, Math.min(position + CHUNK, sent.length)))) {
      await drained(response)
    }
  }
  if (breaking?.kind === 'body breaks') response.socket?.end(() => response.destroy())
  else if (breaking?.kind !== 'body stalls') response.end()
}
