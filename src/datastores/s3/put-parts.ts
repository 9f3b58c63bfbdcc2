import type { FileHandle } from 'node:fs/promises'
import type { CompletedPart } from '@aws-sdk/client-s3'
import PQueue from 'p-queue'
import type { StagedFile } from '../staging.ts'
import type { Bucket } from './bucket.ts'
import { call } from './call.ts'
import { codeOf } from './failure.ts'
import { type ObjectHeaders, sending, signWith } from './sending.ts'
import { sha256Of } from './staged-part.ts'

/** Bytes; S3 takes parts from 5 MiB on. */
const SMALLEST_PART = 16 * 1024 * 1024
/** S3 takes 10,000; Scaleway takes 1,000. All but the last are of one size, as R2 wants it. */
const PARTS_AT_MOST = 1_000
const MIB = 1024 * 1024
/** Of one object. How many of all objects together, the bucket says. */
const AT_ONCE = 4

export interface LargeObject {
  readonly key: string
  readonly headers: ObjectHeaders
  readonly staged: StagedFile
  readonly file: FileHandle
}

interface Upload extends LargeObject {
  readonly id: string
}

/**
 * Puts a large object in parts, some at once: a part that fails is sent again alone. Nothing is visible under the key before the
 * last step. When it fails, the service is told to forget the parts, which it would keep (and charge for) otherwise.
 */
export async function putInParts(bucket: Bucket, object: LargeObject): Promise<void> {
  const { client, sdk, options } = bucket
  const target = { Bucket: options.bucket, Key: object.key }
  const { UploadId: id } = await call(
    bucket,
    { what: `CreateMultipartUpload ${object.key}`, kind: 'write' },
    ({ signal }) =>
      client.send(new sdk.CreateMultipartUploadCommand({ ...target, ...object.headers }), { abortSignal: signal }),
  )
  if (!id) throw new Error(`datastore ${bucket.datastore}: CreateMultipartUpload gave no id`)
  const upload = { ...object, id }
  try {
    await complete(bucket, upload, await sendParts(bucket, upload))
  } catch (error) {
    await forget(bucket, upload)
    throw error
  }
}

async function sendParts(bucket: Bucket, upload: Upload): Promise<CompletedPart[]> {
  const { size } = upload.staged
  const partSize = Math.max(SMALLEST_PART, Math.ceil(size / PARTS_AT_MOST / MIB) * MIB)
  const starts = Array.from({ length: Math.ceil(size / partSize) }, (_, index) => index * partSize)
  const queue = new PQueue({ concurrency: AT_ONCE })
  const ending = new AbortController()
  const sent = starts.map((start, index) =>
    queue.add(async () => {
      ending.signal.throwIfAborted()
      const part = { number: index + 1, start, end: Math.min(start + partSize, size) }
      return await bucket.partsUnderWay.add(() => sendPart(bucket, upload, part, ending.signal))
    }),
  )
  try {
    return await Promise.all(sent)
  } finally {
    // After a failure, nobody may still send when the parts are forgotten, or read when the file is closed.
    ending.abort()
    await Promise.allSettled(sent)
  }
}

interface Part {
  readonly number: number
  readonly start: number
  readonly end: number
}

async function sendPart(bucket: Bucket, upload: Upload, part: Part, signal: AbortSignal): Promise<CompletedPart> {
  const { client, sdk, options, patience } = bucket
  const { file, key, id } = upload
  const bytes = { file, start: part.start, end: part.end }
  const sha256 = await sha256Of(bytes)
  const what = `UploadPart ${part.number} of ${key}`
  return await call(bucket, { what, kind: 'write', idleMs: patience.idleMs, signal }, (attempt) =>
    sending(bytes, attempt, async (Body) => {
      const target = { Bucket: options.bucket, Key: key, UploadId: id, PartNumber: part.number }
      const command = new sdk.UploadPartCommand({ ...target, ContentLength: part.end - part.start, Body })
      signWith(command, sha256)
      const { ETag } = await client.send(command, { abortSignal: attempt.signal })
      return { PartNumber: part.number, ETag }
    }),
  )
}

/** The service may take minutes for it. When an answer was lost, the next attempt finds that there is no such upload any more. */
async function complete(bucket: Bucket, upload: Upload, parts: readonly CompletedPart[]): Promise<void> {
  const { client, sdk, options, patience } = bucket
  const target = { Bucket: options.bucket, Key: upload.key }
  const what = `CompleteMultipartUpload ${upload.key}`
  await call(bucket, { what, kind: 'write', idleMs: patience.assembleMs }, async ({ signal }) => {
    const done = { ...target, UploadId: upload.id, MultipartUpload: { Parts: [...parts] } }
    try {
      await client.send(new sdk.CompleteMultipartUploadCommand(done), { abortSignal: signal })
    } catch (error) {
      if (codeOf(error) !== 'NoSuchUpload') throw error
      const found = await client.send(new sdk.HeadObjectCommand(target), { abortSignal: signal })
      if (found.ContentLength !== upload.staged.size) throw error
    }
  })
}

async function forget(bucket: Bucket, { key, id }: Upload): Promise<void> {
  const { client, sdk, options, parts } = bucket
  const target = { Bucket: options.bucket, Key: key, UploadId: id }
  try {
    await call(bucket, { what: `AbortMultipartUpload ${key}`, kind: 'read' }, ({ signal }) =>
      client.send(new sdk.AbortMultipartUploadCommand(target), { abortSignal: signal }),
    )
  } catch (error) {
    if (codeOf((error as Error).cause) === 'NoSuchUpload') return
    parts.log.warn(
      { err: error, datastore: bucket.datastore, key },
      'the parts of a failed upload could not be deleted; the lifecycle rule of docs/datastores.md does',
    )
  }
}
