import type { S3Links } from '../../config/s3-options.ts'
import type { Presented } from '../datastore.ts'
import { type Bucket, clientConfig } from './bucket.ts'

/** Makes addresses at which clients get objects from the service itself. */
export type Link = (location: string, presented: Presented) => Promise<URL>

const VALID_MS = 60_000

export async function openLinks(bucket: Bucket, links: S3Links): Promise<Link> {
  return links.kind === 'public'
    ? async (location) => new URL(links.baseUrl + location)
    : await openPresigner(bucket, links.endpoint)
}

/**
 * Signed for the endpoint that clients reach: the host is part of the signature. So is what the answer is to look like, so that
 * a client cannot turn an attachment into a page.
 */
async function openPresigner(bucket: Bucket, endpoint: URL): Promise<Link> {
  const { options, sdk } = bucket
  const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner')
  const signer = new sdk.S3Client(clientConfig({ ...options, endpoint }, () => bucket.region))
  return async (location, { contentType, disposition, cacheControl, validMs = VALID_MS }) => {
    const command = new sdk.GetObjectCommand({
      Bucket: options.bucket,
      Key: location,
      ResponseContentType: contentType,
      ResponseContentDisposition: disposition,
      ...(cacheControl === undefined ? {} : { ResponseCacheControl: cacheControl }),
    })
    // The service's clock decides whether a link is still good; how far ours is off, the last answers told.
    const signingDate = new Date(bucket.parts.now() + bucket.client.config.systemClockOffset)
    return new URL(await getSignedUrl(signer, command, { expiresIn: Math.ceil(validMs / 1000), signingDate }))
  }
}
