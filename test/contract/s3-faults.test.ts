import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ObjectMissing } from '../../src/datastores/datastore.ts'
import { S3Failure } from '../../src/datastores/s3/failure.ts'
import { chunksOf, collect } from '../support/bytes.ts'
import { type Fault, type S3Double, startS3Double } from '../support/s3-double.ts'
import { type BucketSettings, type OpenedBucket, openTestBucket } from './bucket.ts'
import { noHandles, put, readWhole } from './datastore.ts'

const MIB = 1024 * 1024
const BUSY: Fault = { kind: 'refused', status: 503, code: 'SlowDown' }
const DENIED: Fault = { kind: 'refused', status: 403, code: 'AccessDenied' }
/** The least that goes in parts. */
const IN_PARTS = 100 * MIB + 1

let cleanup: AsyncDisposableStack
let double: S3Double

beforeEach(async () => {
  cleanup = new AsyncDisposableStack()
  double = cleanup.use(await startS3Double())
})
afterEach(() => cleanup.disposeAsync())

async function open(settings: Partial<BucketSettings> = {}): Promise<OpenedBucket> {
  const options = { ...double.options, ...settings.options }
  return cleanup.use(await openTestBucket({ port: double.port, ...settings, options }))
}

const count = (operation: string) => double.received.filter((request) => request.operation === operation).length

describe('A put', () => {
  test.for<readonly [string, Fault]>([
    ['is busy', BUSY],
    ['has an internal error', { kind: 'refused', status: 500, code: 'InternalError' }],
    ['resets the connection', { kind: 'reset' }],
    ['does not answer', { kind: 'hangs' }],
    ['does it and loses its answer', { kind: 'done without an answer' }],
    ['received another body than was sent', { kind: 'refused', status: 400, code: 'BadDigest' }],
  ])('works all the same, with a fresh body, when the service %s twice', async ([, fault]) => {
    const { datastore, lines } = await open({ patience: { idleMs: 400 } })
    double.fail('PutObject', fault, 2)
    const bytes = randomBytes(3 * MIB)
    const location = await put(datastore, bytes)
    expect(double.objects.get(location)?.bytes.equals(bytes)).toBe(true)
    expect(count('PutObject')).toBe(3)
    expect([...double.objects.keys()]).toEqual([location])
    expect(lines.filter(({ msg }) => msg === 'a call to S3 failed; trying again')).toHaveLength(2)
  })

  test('is given up when its time is over, says why, and leaves nothing behind', async () => {
    let now = 0
    const { datastore, staged, handles } = await open({ now: () => (now += 5_000) })
    double.fail('PutObject', { kind: 'done without an answer' }, 1)
    double.fail('PutObject', BUSY, 1000)
    const putting = put(datastore, randomBytes(MIB))
    await expect(putting).rejects.toThrow(/^datastore bucket: PutObject key0+1 in bucket media at .*: 503 SlowDown /)
    expect(count('PutObject')).toBeGreaterThan(3)
    expect(count('PutObject')).toBeLessThan(15)
    expect(double.objects.size).toBe(0)
    expect(await staged()).toEqual([])
    await noHandles({ handles: async () => handles() })
  })

  test.for<readonly [string, Fault, string]>([
    ['the key may not', DENIED, 'docs/datastores.md has the policy'],
    ['there is no such bucket', { kind: 'refused', status: 404, code: 'NoSuchBucket' }, 'correct opts.bucketName'],
    [
      'the secret is wrong',
      { kind: 'refused', status: 403, code: 'SignatureDoesNotMatch' },
      'correct opts.accessSecret',
    ],
  ])('is not tried again when %s, and says what to do', async ([, fault, advice]) => {
    const { datastore, handles } = await open()
    double.fail('PutObject', fault, 1000)
    // Far more than fits into the connection: the refusal comes before the body is sent.
    await expect(put(datastore, randomBytes(20 * MIB))).rejects.toThrow(advice)
    expect(count('PutObject')).toBe(1)
    await noHandles({ handles: async () => handles() })
  })

  test('is signed with the hash of its bytes and their length, and asks for nothing that only some services have', async () => {
    const { datastore } = await open()
    await put(datastore, randomBytes(MIB))
    await put(datastore, Buffer.from('small'))
    for (const { headers } of double.received) {
      expect(headers['x-amz-content-sha256']).toMatch(/^[0-9a-f]{64}$/)
      expect(headers['content-length']).toMatch(/^(1048576|5)$/)
      const names = Object.keys(headers).join(' ')
      expect(names).not.toMatch(/checksum|crc|expect|transfer-encoding|content-md5|storage-class|trailer|tagging|acl/)
    }
  })

  test('asks for storage class and encryption where they are configured', async () => {
    const { datastore } = await open({
      options: { storageClass: 'STANDARD_IA', sse: 'aws:kms', sseKmsKeyId: 'key-1', prefixLength: '2' },
    })
    const location = await put(datastore, Buffer.from('kept'))
    expect(location).toMatch(/^ke\/y0+1$/)
    expect(double.received[0]?.headers).toMatchObject({
      'x-amz-storage-class': 'STANDARD_IA',
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-aws-kms-key-id': 'key-1',
    })
    expect((await readWhole(datastore, location)).toString()).toBe('kept')
  })

  test.for([
    ['image/png', 'image/png', undefined],
    ['Image/JPEG; charset=x', 'image/jpeg', undefined],
    ['text/plain;,text/html', 'text/plain; charset=UTF-8', undefined],
    ['text/html', 'application/octet-stream', 'attachment'],
    ['image/svg+xml', 'application/octet-stream', 'attachment'],
    ['application/javascript', 'application/octet-stream', 'attachment'],
    ['', 'application/octet-stream', 'attachment'],
  ] as const)('of %j is stored as %j', async ([contentType, stored, disposition]) => {
    const { datastore } = await open()
    await using staged = await datastore.stage(chunksOf(Buffer.from('x')), { maxBytes: 0 })
    const location = await datastore.put(staged, { contentType })
    const headers = double.objects.get(location)?.headers ?? {}
    expect(headers['content-type']).toBe(stored)
    expect(headers['content-disposition']).toBe(disposition)
  })
})

describe('A large object', () => {
  test('is put in parts, some at once, each with its hash; a part that fails is sent again alone', async () => {
    const { datastore } = await open({ patience: { idleMs: 2000 } })
    double.fail('UploadPart', { kind: 'reset' })
    double.fail('UploadPart', BUSY)
    double.fail('UploadPart', { kind: 'done without an answer' })
    const bytes = randomBytes(IN_PARTS)
    await using staged = await datastore.stage(chunksOf(bytes, MIB), { maxBytes: 0 })
    const location = await datastore.put(staged, { contentType: 'video/mp4' })
    expect(double.objects.get(location)?.bytes.equals(bytes)).toBe(true)
    expect(double.objects.get(location)?.headers['content-type']).toBe('video/mp4')
    expect(count('UploadPart')).toBe(7 + 3)
    expect(double.peak('UploadPart')).toBeGreaterThan(1)
    expect(double.peak('UploadPart')).toBeLessThanOrEqual(4)
    expect(double.uploads.size).toBe(0)
  })

  test.for<readonly [string, Fault]>([
    ['loses its answer', { kind: 'done without an answer' }],
    ['says "200" and fails afterwards', { kind: 'error in a 200' }],
  ])('is there when putting its parts together %s', async ([, fault]) => {
    const { datastore } = await open()
    double.fail('CompleteMultipartUpload', fault)
    const bytes = Buffer.alloc(IN_PARTS, 'x')
    const location = await put(datastore, bytes)
    expect(await datastore.sizeOf(location)).toBe(IN_PARTS)
  })

  test('of which a part cannot be put is aborted, so that no parts are left to be paid for', async () => {
    const { datastore, staged, handles } = await open()
    double.fail('UploadPart', DENIED)
    await expect(put(datastore, Buffer.alloc(IN_PARTS))).rejects.toThrow(/UploadPart \d of key.*AccessDenied/)
    expect(count('AbortMultipartUpload')).toBe(1)
    expect(double.uploads.size).toBe(0)
    expect(double.objects.size).toBe(0)
    expect(await staged()).toEqual([])
    await noHandles({ handles: async () => handles() })
  })

  test('is put whole where the provider has no parts', async () => {
    const { datastore } = await open({ options: { multipartUploads: 'false' } })
    const location = await put(datastore, Buffer.alloc(IN_PARTS))
    expect(await datastore.sizeOf(location)).toBe(IN_PARTS)
    expect(count('CreateMultipartUpload')).toBe(0)
  })
})

describe('A read', () => {
  test.for<readonly [string, Fault]>([
    ['is busy', BUSY],
    ['resets the connection', { kind: 'reset' }],
    ['does not answer', { kind: 'hangs' }],
  ])('is opened all the same when the service %s at first', async ([, fault]) => {
    const { datastore } = await open({ patience: { answerMs: 400 } })
    const location = await put(datastore, randomBytes(MIB))
    double.fail('GetObject', fault, 2)
    expect(await readWhole(datastore, location)).toHaveLength(MIB)
  })

  test.for(['body breaks', 'body stalls'] as const)(
    'goes on where it stopped when its %s, and never sends a byte twice',
    async (kind) => {
      const { datastore, lines, handles } = await open({ patience: { idleMs: 500 } })
      const bytes = randomBytes(5 * MIB + 77)
      const location = await put(datastore, bytes)
      double.fail('GetObject', { kind, after: 2 * MIB + 5 })
      double.fail('GetObject', { kind, after: 1 })
      double.fail('GetObject', BUSY)
      expect((await readWhole(datastore, location)).equals(bytes)).toBe(true)
      const resumed = double.received.filter(({ operation }) => operation === 'GetObject').slice(1)
      expect(resumed.every(({ headers }) => headers['if-match'] === double.objects.get(location)?.etag)).toBe(true)
      expect(lines.filter(({ msg }) => msg.startsWith('a download from S3 broke off'))).toHaveLength(2)
      await noHandles({ handles: async () => handles() })
    },
  )

  test('of a small object is asked for again when its body breaks', async () => {
    const { datastore } = await open()
    const location = await put(datastore, randomBytes(1000))
    double.fail('GetObject', { kind: 'body breaks', after: 10 })
    expect(await readWhole(datastore, location)).toHaveLength(1000)
  })

  test('that breaks again and again ends in an error', async () => {
    const { datastore } = await open()
    const location = await put(datastore, randomBytes(MIB))
    double.fail('GetObject', { kind: 'body breaks', after: 10 }, 1000)
    await expect(readWhole(datastore, location)).rejects.toThrow('broke off 6 times at byte 60 of 1048576')
    expect(count('GetObject')).toBeLessThan(10)
  })

  test('of an object that is replaced by another one meanwhile never mixes the two', async () => {
    const { datastore } = await open()
    const location = await put(datastore, Buffer.alloc(MIB, 'a'))
    double.fail('GetObject', { kind: 'body breaks', after: 1000 })
    await using object = await datastore.open(location)
    const stored = double.objects.get(location)
    if (stored) double.objects.set(location, { ...stored, bytes: Buffer.alloc(MIB, 'b'), etag: '"other"' })
    await expect(collect(object.read({ start: 0, end: MIB - 1 }))).rejects.toThrow('ended at byte')
  })

  test('is not cut because its reader is slow', async () => {
    const { datastore } = await open({ patience: { idleMs: 200 } })
    const bytes = randomBytes(3 * MIB)
    const location = await put(datastore, bytes)
    await using object = await datastore.open(location)
    const reading = object.read({ start: 0, end: bytes.length - 1 })[Symbol.asyncIterator]()
    const { value } = await reading.next()
    const first = Buffer.from(value ?? [])
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const rest = await collect({ [Symbol.asyncIterator]: () => reading })
    expect(Buffer.concat([first, rest]).equals(bytes)).toBe(true)
    expect(count('GetObject')).toBe(1)
  })

  test('of a known part costs one request and gives its connection back', async () => {
    const { datastore, handles } = await open()
    const bytes = randomBytes(3 * MIB)
    const location = await put(datastore, bytes)
    for (let round = 0; round < 5; round++) {
      await using object = await datastore.open(location, { start: MIB, end: 2 * MIB })
      expect(object.size).toBe(bytes.length)
      const part = await collect(object.read({ start: MIB, end: 2 * MIB }))
      expect(part.equals(bytes.subarray(MIB, 2 * MIB + 1))).toBe(true)
    }
    expect(count('GetObject')).toBe(5)
    expect(double.connections()).toBe(1)
    await noHandles({ handles: async () => handles() })
  })

  test('beyond the end of an object that was cut tells its size', async () => {
    const { datastore } = await open()
    const location = await put(datastore, randomBytes(100))
    await using object = await datastore.open(location, { start: 500, end: 600 })
    expect(object.size).toBe(100)
  })
})

describe('What is not there', () => {
  test('is missing only if the service says so of the object; a missing bucket or a refusal is an outage', async () => {
    const { datastore } = await open()
    const location = await put(datastore, Buffer.from('here'))
    expect(await datastore.sizeOf('never')).toBeUndefined()
    double.fail('HeadObject', DENIED)
    await expect(datastore.sizeOf('never')).rejects.toThrow('AccessDenied')
    double.fail('GetObject', DENIED)
    await expect(datastore.open('never')).rejects.toThrow(S3Failure)
    double.settings.bucketMissing = true
    await expect(datastore.sizeOf(location)).rejects.toThrow('the bucket does not exist')
    await expect(datastore.open(location)).rejects.not.toThrow(ObjectMissing)
    await expect(datastore.open(location)).rejects.toThrow(S3Failure)
    await expect(datastore.check()).rejects.toThrow('HeadBucket')
  })

  test('is deleted, also where a service calls that an error', async () => {
    const { datastore } = await open()
    double.fail('DeleteObject', { kind: 'refused', status: 404, code: 'NoSuchKey' })
    await datastore.delete('never')
    double.fail('DeleteObject', DENIED)
    await expect(datastore.delete('never')).rejects.toThrow('AccessDenied')
  })
})

describe('Whatever the service demands', () => {
  test.for([3_600_000, -3_600_000])(
    'a clock that is %i ms off is no hindrance, after the first refusal',
    async (skewMs) => {
      const { datastore } = await open()
      double.settings.skewMs = skewMs
      const location = await put(datastore, Buffer.from('in time'))
      expect(count('PutObject')).toBe(2)
      expect((await readWhole(datastore, location)).toString()).toBe('in time')
      expect(count('GetObject')).toBe(1)
    },
  )

  test('the region is found out where none is configured', async () => {
    const { datastore, lines } = await open()
    double.settings.region = 'eu-north-7'
    const location = await put(datastore, Buffer.from('there'))
    expect((await readWhole(datastore, location)).toString()).toBe('there')
    expect(count('PutObject') + count('GetObject')).toBe(3)
    expect(lines.map(({ region }) => region)).toContain('eu-north-7')
  })

  test('a list of many pages is whole, and a page that fails is asked for again', async () => {
    const { datastore } = await open()
    double.settings.pageSize = 3
    const locations = await Promise.all(Array.from({ length: 10 }, () => put(datastore, Buffer.from('x'))))
    double.fail('ListObjectsV2', BUSY)
    const listed = await Array.fromAsync(datastore.list())
    expect(listed.map(({ location }) => location)).toEqual(locations.toSorted())
    expect(count('ListObjectsV2')).toBe(5)
  })

  test('calls are counted under the names that MMR has for them', async () => {
    const { datastore, called } = await open({ options: { presign: 'true' } })
    const location = await put(datastore, Buffer.from('x'))
    await readWhole(datastore, location)
    await datastore.link?.(location, { contentType: 'image/png', disposition: 'inline' })
    await datastore.delete(location)
    expect(called).toEqual(['PutObject', 'GetObject', 'RedirectGetObject', 'RemoveObject'])
  })
})
