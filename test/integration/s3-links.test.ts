import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { type OpenedBucket, openTestBucket } from '../contract/bucket.ts'
import { put } from '../contract/datastore.ts'
import { type S3Double, startS3Double } from '../support/s3-double.ts'
import { describeWith } from '../support/services.ts'
import { startVersitygw, type Versitygw } from '../support/versitygw.ts'

const PRESENTED = {
  contentType: 'text/plain; charset=UTF-8',
  disposition: `attachment; filename*=UTF-8''gr%C3%BC%C3%9Fe%20%26%20co.txt`,
  cacheControl: 'private, max-age=259200, immutable',
}

const tenSecondsAgo = () => Date.now() - 10_000

describeWith('versitygw', 'A presigned link', () => {
  let server: Versitygw
  beforeAll(async () => {
    server = await startVersitygw()
  })
  afterAll(() => server[Symbol.asyncDispose]())

  test('gives who has no key the object, with the type and disposition that we would have sent', async () => {
    await using bucket = await openTestBucket({ ...server, options: { ...server.options, presign: 'true' } })
    const location = await put(bucket.datastore, Buffer.from('linked'))
    const url = await bucket.datastore.link?.(location, PRESENTED)
    const answer = await fetch(String(url))
    expect(await answer.text()).toBe('linked')
    expect(answer.headers.get('content-type')).toBe(PRESENTED.contentType)
    expect(answer.headers.get('content-disposition')).toBe(PRESENTED.disposition)
    expect(answer.headers.get('cache-control')).toBe(PRESENTED.cacheControl)
    expect(url?.searchParams.get('X-Amz-Expires')).toBe('60')
    expect((await fetch(String(url), { headers: { range: 'bytes=1-2' } })).status).toBe(206)
  })

  test('is good for nothing else: no other object, no other type, and nobody without it', async () => {
    await using bucket = await openTestBucket({ ...server, options: { ...server.options, presign: 'true' } })
    const location = await put(bucket.datastore, Buffer.from('linked'))
    const other = await put(bucket.datastore, Buffer.from('other'))
    const url = String(await bucket.datastore.link?.(location, PRESENTED))
    expect((await fetch(url.replace(location, other))).status).toBe(403)
    expect((await fetch(url.replace('text%2Fplain', 'text%2Fhtml'))).status).toBe(403)
    expect((await fetch(url.split('?')[0] ?? '')).status).toBe(403)
  })

  test('ends after its time', async () => {
    const options = { ...server.options, presign: 'true' }
    await using bucket = await openTestBucket({ ...server, options, now: tenSecondsAgo })
    const location = await put(bucket.datastore, Buffer.from('linked'))
    const late = await bucket.datastore.link?.(location, { ...PRESENTED, validMs: 5_000 })
    expect((await fetch(String(late))).status).toBe(403)
  })
})

describe('A link', () => {
  test('is signed for the endpoint that clients reach', async () => {
    await using double = await startS3Double()
    const options = { ...double.options, presign: 'true', publicEndpoint: 'https://s3.example.org' }
    await using bucket = await openTestBucket({ ...double, options })
    const url = await bucket.datastore.link?.('ab/cdef', PRESENTED)
    expect(url?.href).toMatch(/^https:\/\/s3\.example\.org\/media\/ab\/cdef\?.*X-Amz-SignedHeaders=host/)
    expect(url?.href).not.toMatch(/checksum/i)
  })

  test('is good by the clock of the service, where ours is off', async () => {
    await using double = await startS3Double()
    double.settings.skewMs = 3_600_000
    await using bucket = await openTestBucket({ ...double, options: { ...double.options, presign: 'true' } })
    const location = await put(bucket.datastore, Buffer.from('in time'))
    const answer = await fetch(String(await bucket.datastore.link?.(location, PRESENTED)))
    expect(await answer.text()).toBe('in time')
  })

  test('is the public address with the key at its end, where there is one', async () => {
    await using double = await startS3Double()
    const options = { ...double.options, publicBaseUrl: 'https://cdn.example.org/m/', redirectWhenCached: 'true' }
    await using bucket = await openTestBucket({ ...double, options })
    expect((await bucket.datastore.link?.('ab/cdef', PRESENTED))?.href).toBe('https://cdn.example.org/m/ab/cdef')
    expect(bucket.datastore.redirects).toEqual({ whenCached: true, federation: false })
    expect(bucket.called).toEqual(['RedirectGetObject'])
  })

  test('is none where none is configured', async () => {
    await using double = await startS3Double()
    await using bucket = await openTestBucket(double)
    expect(await bucket.datastore.link?.('ab/cdef', PRESENTED)).toBeUndefined()
    expect(bucket.datastore.redirects).toBeUndefined()
    expect(bucket.called).toEqual([])
  })
})

async function openWithout(double: S3Double): Promise<OpenedBucket> {
  const options = { endpoint: double.endpoint, bucketName: double.bucket, ssl: 'false' }
  return await openTestBucket({ ...double, options })
}

describe('Credentials that are not configured', () => {
  const SEARCHED = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_EC2_METADATA_DISABLED']

  afterEach(() => vi.unstubAllEnvs())

  test('come from the environment, with their session token', async () => {
    for (const name of SEARCHED) vi.stubEnv(name, `from-${name}`)
    await using double = await startS3Double()
    await using bucket = await openWithout(double)
    await put(bucket.datastore, Buffer.from('x'))
    expect(double.received[0]?.headers.authorization).toContain('Credential=from-AWS_ACCESS_KEY_ID/')
    expect(double.received[0]?.headers['x-amz-security-token']).toBe('from-AWS_SESSION_TOKEN')
  })

  test('and are nowhere else are said to be missing, at once', async () => {
    for (const name of SEARCHED) vi.stubEnv(name, undefined)
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
    await using double = await startS3Double()
    await using bucket = await openWithout(double)
    await expect(put(bucket.datastore, Buffer.from('x'))).rejects.toThrow('set opts.accessKeyId and opts.accessSecret')
    expect(bucket.lines.filter(({ msg }) => msg.includes('trying again'))).toEqual([])
    expect(double.received).toEqual([])
  })
})
