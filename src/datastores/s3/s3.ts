import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { S3Options } from '../../config/s3-options.ts'
import type {
  ByteRange,
  Datastore,
  ForeignBytes,
  KeptObject,
  ObjectDescription,
  OpenObject,
  Presented,
  RedirectRules,
  StoredKind,
} from '../datastore.ts'
import { stage, type StagedFile, type StageOptions, sweepStaging } from '../staging.ts'
import { asAdopted, isAdopted, keyOf } from './adopted.ts'
import { type Bucket, type BucketParts, openBucket } from './bucket.ts'
import { call } from './call.ts'
import { codeOf } from './failure.ts'
import { type Link, openLinks } from './links.ts'
import { putObject } from './put.ts'
import { openObject, sizeOfObject } from './read.ts'

export interface S3Parts extends BucketParts {
  /** A name that nobody can guess and that is never given again: 40 characters. */
  readonly newKey: () => string
  /** Where uploads are received that are on their way to a bucket, for datastores that name no folder of their own. */
  readonly stagingFolder: string
}

export interface S3DatastoreOptions {
  readonly id: string
  readonly kinds: ReadonlySet<StoredKind>
  readonly options: S3Options
}

const ABANDONED_AFTER_MS = 24 * 3600 * 1000

/** Objects in a bucket of S3, or of a service that speaks like it. The service is not asked for anything yet: it may be down. */
export async function openS3Datastore({ id, kinds, options }: S3DatastoreOptions, parts: S3Parts): Promise<Datastore> {
  // A folder of our own below the one given: the sweep deletes what is old in it, and `/tmp` has others' files.
  const staging = join(options.tempPath ?? parts.stagingFolder, `cellarium-${encodeURIComponent(id)}`)
  await sweepStaging(staging, ABANDONED_AFTER_MS, parts.now())
  const bucket = await openBucket(id, options, parts)
  const link = options.links && (await openLinks(bucket, options.links))
  return new S3Datastore(kinds, { bucket, staging, link, newKey: parts.newKey, now: parts.now })
}

interface S3DatastoreParts {
  readonly bucket: Bucket
  readonly staging: string
  readonly now: () => number
  readonly link: Link | undefined
  readonly newKey: () => string
}

class S3Datastore implements Datastore {
  readonly id: string
  readonly uri: string
  readonly kinds: ReadonlySet<StoredKind>
  readonly redirects: RedirectRules | undefined
  readonly #bucket: Bucket
  readonly #parts: S3DatastoreParts

  constructor(kinds: ReadonlySet<StoredKind>, parts: S3DatastoreParts) {
    const { datastore, options } = parts.bucket
    this.id = datastore
    this.uri = uriOf(options)
    this.kinds = kinds
    this.redirects = options.links && {
      whenCached: options.redirectWhenCached,
      federation: options.federationRedirect,
    }
    this.#bucket = parts.bucket
    this.#parts = parts
  }

  /** The bucket makes it last: what waits here needs no sync. */
  stage(source: AsyncIterable<Uint8Array>, options: StageOptions): Promise<StagedFile> {
    return stage(this.#parts.staging, source, options, { passing: true })
  }

  async put(staged: StagedFile, described: ObjectDescription): Promise<string> {
    const key = withPrefix(this.#parts.newKey(), this.#bucket.options.prefixLength)
    await putObject(this.#bucket, key, staged, described)
    return key
  }

  async adopt(bytes: ForeignBytes): Promise<string | undefined> {
    return 'uri' in bytes && bytes.uri === this.uri ? asAdopted(bytes.key) : undefined
  }

  open(location: string, part?: ByteRange): Promise<OpenObject> {
    return openObject(this.#bucket, keyOf(location), part)
  }

  sizeOf(location: string): Promise<number | undefined> {
    return sizeOfObject(this.#bucket, keyOf(location))
  }

  async link(location: string, presented: Presented): Promise<URL | undefined> {
    const url = await this.#parts.link?.(keyOf(location), presented)
    if (url) this.#bucket.parts.called('RedirectGetObject')
    return url
  }

  async delete(location: string): Promise<void> {
    if (isAdopted(location)) return
    const { client, sdk, options, parts } = this.#bucket
    parts.called('RemoveObject')
    const command = () => new sdk.DeleteObjectCommand({ Bucket: options.bucket, Key: location })
    try {
      await call(this.#bucket, { what: `DeleteObject ${location}`, kind: 'write' }, ({ signal }) =>
        client.send(command(), { abortSignal: signal }),
      )
    } catch (error) {
      // S3 says nothing about an object that is not there; some of its relatives do.
      if (codeOf((error as Error).cause) !== 'NoSuchKey') throw error
    }
  }

  async *list(): AsyncGenerator<KeptObject> {
    const { client, sdk, options } = this.#bucket
    for (let token: string | undefined; ;) {
      const asked = { Bucket: options.bucket, ...(token === undefined ? {} : { ContinuationToken: token }) }
      const page = await call(this.#bucket, { what: 'ListObjectsV2', kind: 'write' }, ({ signal }) =>
        client.send(new sdk.ListObjectsV2Command(asked), { abortSignal: signal }),
      )
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        if (Key !== undefined) yield { location: Key, size: Size ?? 0, putAt: LastModified?.getTime() ?? 0 }
      }
      if (!page.IsTruncated || !page.NextContinuationToken) return
      token = page.NextContinuationToken
    }
  }

  sweepStaged(): Promise<number> {
    return sweepStaging(this.#parts.staging, ABANDONED_AFTER_MS, this.#parts.now())
  }

  /** Finds out whether the bucket answers and the key is let in. That it may also write shows only when something is put. */
  async check(): Promise<void> {
    const { client, sdk, options } = this.#bucket
    await access(this.#parts.staging, constants.W_OK | constants.X_OK)
    await call(this.#bucket, { what: 'HeadBucket', kind: 'read' }, ({ signal }) =>
      client.send(new sdk.HeadBucketCommand({ Bucket: options.bucket }), { abortSignal: signal }),
    )
  }

  abort(): void {
    this.#bucket.service.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bucket[Symbol.asyncDispose]()
  }
}

/** Buckets of Amazon have one name each, whatever the endpoint is called that leads to them. */
function uriOf({ endpoint, bucket }: S3Options): string {
  const host = /\.amazonaws\.com(\.cn)?$/.exec(endpoint.host)
  return `s3://${host ? `s3${host[0]}` : endpoint.host}/${bucket}`
}

/** With 2: `3f/a8c0…`. */
function withPrefix(name: string, length: number): string {
  return length === 0 ? name : `${name.slice(0, length)}/${name.slice(length)}`
}
