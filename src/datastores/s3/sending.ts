import { Readable } from 'node:stream'
import type { PutObjectCommandInput } from '@aws-sdk/client-s3'
import type { Attempt } from './call.ts'
import { bodyOf, type StagedPart } from './staged-part.ts'

/** What is put under a key besides its bytes, the same for whole objects and for those in parts. */
export type ObjectHeaders = Pick<
  PutObjectCommandInput,
  'ContentType' | 'ContentDisposition' | 'CacheControl' | 'StorageClass' | 'ServerSideEncryption' | 'SSEKMSKeyId'
>

/** Hands out a fresh body, and ends the attempt when the file under it fails. */
export async function sending<T>(
  part: StagedPart,
  attempt: Attempt,
  send: (body: Buffer | Readable) => Promise<T>,
): Promise<T> {
  const body = await bodyOf(part, attempt.goesOn)
  if (!(body instanceof Readable)) return await send(body)
  body.on('error', attempt.fail)
  try {
    return await send(body)
  } finally {
    body.destroy()
  }
}

/**
 * Has the request signed with a hash that is known already; the SDK would read the body once more for it, or over https leave
 * it out. The hash is part of the signature (Signature Version 4), so every provider understands it, and compares.
 */
export function signWith(command: { readonly middlewareStack: Steps }, sha256: string): void {
  const sign =
    <Given extends object, Result>(next: (given: Given) => Result) =>
    (given: Given): Result => {
      const { request } = given as { readonly request: { readonly headers: Record<string, string> } }
      request.headers['x-amz-content-sha256'] = sha256
      return next(given)
    }
  command.middlewareStack.add(sign, { step: 'build', name: 'knownHash' })
}

/** The steps of any command, as far as they are needed here. */
interface Steps {
  add(
    middleware: <Given extends object, Result>(next: (given: Given) => Result) => (given: Given) => Result,
    options: { readonly step: 'build'; readonly name: string },
  ): void
}
