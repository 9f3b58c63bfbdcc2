import { open } from 'node:fs/promises'
import { inlineType } from '../../lib/inline-types.ts'
import type { ObjectDescription } from '../datastore.ts'
import type { StagedFile } from '../staging.ts'
import type { Bucket } from './bucket.ts'
import { call } from './call.ts'
import { S3Failure } from './failure.ts'
import { putInParts } from './put-parts.ts'
import { type ObjectHeaders, sending, signWith } from './sending.ts'
import type { StagedPart } from './staged-part.ts'

/** Above this size, in bytes, objects are put in parts; AWS advises to do so from 100 MB on. */
const IN_PARTS_ABOVE = 100 * 1024 * 1024

/** Puts the staged file under `key`. Whatever a failed put may have left is deleted, as far as that can be done. */
export async function putObject(
  bucket: Bucket,
  key: string,
  staged: StagedFile,
  described: ObjectDescription,
): Promise<void> {
  bucket.parts.called('PutObject')
  await using file = await open(staged.path, 'r')
  const headers = headersFor(bucket, described)
  try {
    if (bucket.options.multipart && staged.size > IN_PARTS_ABOVE)
      await putInParts(bucket, { key, headers, staged, file })
    else await putWhole(bucket, key, headers, staged, { file, start: 0, end: staged.size })
  } catch (error) {
    // An attempt whose answer was lost may have stored it; one that was refused has not.
    if (!wasRefused(error)) await deleteQuietly(bucket, key)
    throw error
  }
}

/** S3 takes an object whole or not at all, and compares its bytes with the SHA-256 that the request is signed with. */
async function putWhole(
  bucket: Bucket,
  key: string,
  headers: ObjectHeaders,
  staged: StagedFile,
  part: StagedPart,
): Promise<void> {
  const { options, sdk, client, patience } = bucket
  await call(bucket, { what: `PutObject ${key}`, kind: 'write', idleMs: patience.idleMs }, (attempt) =>
    sending(part, attempt, (Body) => {
      const target = { Bucket: options.bucket, Key: key, ContentLength: staged.size }
      const command = new sdk.PutObjectCommand({ ...target, ...headers, Body })
      signWith(command, staged.sha256)
      return client.send(command, { abortSignal: attempt.signal })
    }),
  )
}

/** Content never changes under its key, so that a public address may be cached for ever. */
const CACHED_FOR_EVER = 'public, max-age=31536000, immutable'

/**
 * One object has many names: whoever reads the bucket without us must not get the type that its first uploader claimed, unless
 * browsers may show that type anywhere.
 */
function headersFor({ options }: Bucket, { contentType }: ObjectDescription): ObjectHeaders {
  const shown = inlineType(contentType)
  const { storageClass, encryption } = options
  return {
    ContentType: typeAlone(shown),
    ...(shown === undefined ? { ContentDisposition: 'attachment' } : {}),
    CacheControl: CACHED_FOR_EVER,
    ...(storageClass === undefined ? {} : { StorageClass: storageClass as ObjectHeaders['StorageClass'] }),
    ...(encryption ? { ServerSideEncryption: encryption.kind } : {}),
    ...(encryption?.kmsKeyId === undefined ? {} : { SSEKMSKeyId: encryption.kmsKeyId }),
  }
}

/** Text is UTF-8 nearly always; without saying so, browsers take it for something older. */
function typeAlone(shown: string | undefined): string {
  if (shown === undefined) return 'application/octet-stream'
  return shown.startsWith('text/') ? `${shown}; charset=UTF-8` : shown
}

function wasRefused(error: unknown): boolean {
  return error instanceof S3Failure && error.status !== undefined && error.status < 500
}

async function deleteQuietly(bucket: Bucket, key: string): Promise<void> {
  const { client, sdk, options, parts, patience, service } = bucket
  // Nobody could delete anything there now; what an earlier attempt may have left is for a sweep.
  if (service.giveUp.aborted) return
  const command = new sdk.DeleteObjectCommand({ Bucket: options.bucket, Key: key })
  try {
    await client.send(command, { abortSignal: AbortSignal.timeout(patience.answerMs) })
  } catch (error) {
    parts.log.warn(
      { err: error, datastore: bucket.datastore, key },
      'an upload failed, and what may be left of it could not be deleted; a sweep will find it',
    )
  }
}
