import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { type ByteRange, ObjectMissing, type OpenObject } from '../datastore.ts'
import type { Bucket } from './bucket.ts'
import { call, describe } from './call.ts'
import { codeOf, S3Failure, statusOf } from './failure.ts'
import { Body } from './body.ts'

/** Objects up to this size, in bytes, come whole with their answer: sent in one go, and their connection is free at once. */
const SMALL = 64 * 1024
/** How often in a row a read is taken up again that made no progress. */
const RESUMES = 5
/** Bytes that count as progress. */
const PROGRESS = 1024 * 1024

/** What is known of an object from the answer that opened it. */
interface Found {
  readonly key: string
  readonly size: number
  readonly etag: string | undefined
}

/**
 * Asks for the object, and has its bytes on their way when this resolves; a missing one is noticed here. `part` is what is going
 * to be read: without it the whole is asked for, and reading a part costs a second request.
 */
export async function openObject(bucket: Bucket, key: string, part?: ByteRange): Promise<OpenObject> {
  bucket.parts.called('GetObject')
  const range = part && part.end >= part.start ? part : undefined
  const what = `GetObject ${key}`
  try {
    return await call(bucket, { what, kind: 'read' }, async ({ signal, goesOn }) => {
      const answer = await get(bucket, { key, range, signal })
      const found = { key, size: sizeIn(answer), etag: answer.ETag }
      const body = new Body(answer, bucket.patience.idleMs)
      if (found.size > SMALL || range) return new S3Object(bucket, found, { body, start: startOf(answer) })
      return inMemory(await wholeOf(body, found.size, goesOn))
    })
  } catch (error) {
    const { cause } = error as Error
    if (codeOf(cause) === 'NoSuchKey') throw new ObjectMissing(bucket.datastore, key, { cause })
    // The object is shorter than its record says: the whole tells by how much.
    if (range && statusOf(cause) === 416) return await openObject(bucket, key)
    throw error
  }
}

/** Bytes of the object, or undefined when it is not there. */
export async function sizeOfObject(bucket: Bucket, key: string): Promise<number | undefined> {
  const { client, sdk, options } = bucket
  const target = { Bucket: options.bucket, Key: key }
  try {
    const found = await call(bucket, { what: `HeadObject ${key}`, kind: 'read' }, ({ signal }) =>
      client.send(new sdk.HeadObjectCommand(target), { abortSignal: signal }),
    )
    return found.ContentLength ?? 0
  } catch (error) {
    if (!(error instanceof S3Failure) || error.status !== 404) throw error
  }
  // Answers to HEAD have no body: this may be a missing bucket, whose objects must not be taken for lost.
  try {
    await using opened = await openObject(bucket, key, { start: 0, end: 0 })
    return opened.size
  } catch (error) {
    if (error instanceof ObjectMissing) return undefined
    throw error
  }
}

interface Asked {
  readonly key: string
  readonly range: ByteRange | undefined
  /** Only this very object, not one that was put in its place. */
  readonly etag?: string | undefined
  readonly signal: AbortSignal
}

async function get(bucket: Bucket, { key, range, etag, signal }: Asked): Promise<GetObjectCommandOutput> {
  const command = new bucket.sdk.GetObjectCommand({
    Bucket: bucket.options.bucket,
    Key: key,
    ...(range ? { Range: `bytes=${range.start}-${range.end}` } : {}),
    ...(etag === undefined ? {} : { IfMatch: etag }),
  })
  return await bucket.client.send(command, { abortSignal: signal })
}

/** `Content-Range: bytes 0-9/1234`, else the length of what is coming. */
function sizeIn({ ContentRange, ContentLength }: GetObjectCommandOutput): number {
  const total = /\/(?<size>\d+)$/.exec(ContentRange ?? '')?.groups?.['size']
  const size = total === undefined ? ContentLength : Number(total)
  if (size === undefined) throw new Error('the answer has no Content-Length')
  return size
}

function startOf({ ContentRange }: GetObjectCommandOutput): number {
  return Number(/^bytes (?<start>\d+)-/.exec(ContentRange ?? '')?.groups?.['start'] ?? 0)
}

async function wholeOf(body: Body, size: number, goesOn: () => void): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(size)
  let filled = 0
  for await (const chunk of body.chunks()) {
    goesOn()
    if (filled + chunk.length > size) throw wasCut(filled + chunk.length, size)
    bytes.set(chunk, filled)
    filled += chunk.length
  }
  if (filled < size) throw wasCut(filled, size)
  return bytes
}

function wasCut(position: number, end: number): Error {
  return Object.assign(new Error(`the answer ended at byte ${position} of ${end}`), { code: 'IncompleteBody' })
}

function inMemory(bytes: Buffer): OpenObject {
  return {
    size: bytes.length,
    bytes,
    async *read({ start, end }) {
      if (end >= bytes.length) throw new Error(`the object ended at byte ${bytes.length}; ${end + 1} were expected`)
      if (end >= start) yield bytes.subarray(start, end + 1)
    },
    async [Symbol.asyncDispose]() {},
  }
}

/** An answer under way: its bytes begin at `start`. */
interface UnderWay {
  readonly body: Body
  readonly start: number
}

class S3Object implements OpenObject {
  readonly size: number
  readonly #bucket: Bucket
  readonly #found: Found
  #underWay: UnderWay | undefined

  constructor(bucket: Bucket, found: Found, underWay: UnderWay) {
    this.#bucket = bucket
    this.#found = found
    this.size = found.size
    this.#underWay = underWay
  }

  /** A body that breaks off is taken up where it stopped, so that one broken connection does not cost a client its download. */
  async *read({ start, end }: ByteRange): AsyncGenerator<Uint8Array> {
    for (let position = start, breaks = 0; position <= end;) {
      const from = position
      const body = await this.#bodyFrom({ start: position, end })
      let failure: unknown
      try {
        for await (const chunk of body.chunks()) {
          const wanted = chunk.subarray(0, end - position + 1)
          position += wanted.length
          yield wanted
          if (position > end && body.left > 0) break
        }
      } catch (error) {
        failure = error
      }
      if (position > end) return
      breaks = position - from >= PROGRESS ? 1 : breaks + 1
      if (breaks > RESUMES) throw this.#neverGetsOn(position, end, failure)
      this.#noteBreak(position, failure)
    }
  }

  async #bodyFrom(range: ByteRange): Promise<Body> {
    const underWay = this.#underWay
    this.#underWay = undefined
    if (underWay?.start === range.start) return underWay.body
    underWay?.body.end()
    const { key, etag, size } = this.#found
    if (range.start >= size) throw this.#endedEarly(size, range.end)
    try {
      const answer = await call(this.#bucket, { what: `GetObject ${key}`, kind: 'read' }, ({ signal }) =>
        get(this.#bucket, { key, range, etag, signal }),
      )
      return new Body(answer, this.#bucket.patience.idleMs)
    } catch (error) {
      const { cause } = error as Error
      const gone = codeOf(cause) === 'NoSuchKey' || statusOf(cause) === 412 || statusOf(cause) === 416
      throw gone ? this.#endedEarly(range.start, range.end, cause) : error
    }
  }

  #endedEarly(position: number, end: number, cause?: unknown): Error {
    const what = describe(this.#bucket, `GetObject ${this.#found.key}`)
    return new Error(`${what}: the object ended at byte ${position}; ${end + 1} were expected`, { cause })
  }

  /** The service's trouble: the object is there, and as it was. */
  #neverGetsOn(position: number, end: number, cause: unknown = wasCut(position, end + 1)): S3Failure {
    const what = describe(this.#bucket, `GetObject ${this.#found.key}`)
    return new S3Failure(`${what} broke off ${RESUMES + 1} times at byte ${position} of ${end + 1}`, cause)
  }

  #noteBreak(position: number, error: unknown): void {
    const { datastore, parts, service } = this.#bucket
    parts.log[service.retried() ? 'warn' : 'debug'](
      { err: error, datastore, key: this.#found.key, position },
      'a download from S3 broke off; going on where it stopped',
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#underWay?.body.end()
    this.#underWay = undefined
  }
}
