import { createHash } from 'node:crypto'
import { copyFile, readdir, rename, truncate, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startS3Double } from '../support/s3-double.ts'
import { describeWith } from '../support/services.ts'
import { startVersitygw, type Versitygw } from '../support/versitygw.ts'
import { type DatastoreUnderTest, datastoreContract, put, readWhole } from './datastore.ts'
import { openTestBucket } from './bucket.ts'
import { growingContract } from './growing-file.ts'

async function openOnDouble(): Promise<DatastoreUnderTest> {
  await using cleanup = new AsyncDisposableStack()
  const double = cleanup.use(await startS3Double())
  const bucket = cleanup.use(await openTestBucket(double))
  const owned = cleanup.move()
  return {
    datastore: bucket.datastore,
    kept: async () => [...(await bucket.staged()), ...double.objects.keys()],
    handles: async () => bucket.handles(),
    lose: async (location) => void double.objects.delete(location),
    cut: async (location, bytes) => {
      const stored = double.objects.get(location)
      if (stored) double.objects.set(location, { ...stored, bytes: stored.bytes.subarray(0, bytes) })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

datastoreContract('A bucket as datastore, on the S3 double', openOnDouble)
growingContract('A bucket, on the S3 double', openOnDouble)

test('An object of the same bucket that is somebody else’s is read where it is, and never deleted', async () => {
  await using double = await startS3Double()
  await using bucket = await openTestBucket(double)
  const { datastore } = bucket
  const theirs = await put(datastore, Buffer.from('theirs'))
  const location = await datastore.adopt?.({ uri: datastore.uri, key: theirs })
  if (location === undefined) throw new Error('it was not adopted')
  expect((await readWhole(datastore, location)).toString()).toBe('theirs')
  expect(await datastore.sizeOf(location)).toBe(6)
  await datastore.delete(location)
  expect([...double.objects.keys()]).toEqual([theirs])
  expect(await datastore.adopt?.({ uri: 's3://elsewhere/bucket', key: theirs })).toBeUndefined()
  expect(await datastore.adopt?.({ path: '/etc/hostname' })).toBeUndefined()
})

test('Objects that somebody encrypted with a key of theirs are asked for with it', async () => {
  await using double = await startS3Double()
  await using bucket = await openTestBucket({ ...double, customerKey: '0123456789abcdef0123456789abcdef' })
  const location = await put(bucket.datastore, Buffer.from('x'))
  await bucket.datastore.sizeOf(location)
  await readWhole(bucket.datastore, location)
  const asked = double.received.filter(({ operation }) => operation === 'GetObject' || operation === 'HeadObject')
  const prefix = 'x-amz-server-side-encryption-customer'
  for (const { headers } of asked) {
    expect(headers).toMatchObject({
      [`${prefix}-algorithm`]: 'AES256',
      [`${prefix}-key`]: 'MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=',
      [`${prefix}-key-md5`]: createHash('md5').update('0123456789abcdef0123456789abcdef').digest('base64'),
    })
  }
  expect(asked).toHaveLength(2)
})

describeWith('versitygw', 'On versitygw', () => {
  let server: Versitygw
  beforeAll(async () => {
    server = await startVersitygw()
  })
  afterAll(() => server[Symbol.asyncDispose]())

  async function openOnServer(): Promise<DatastoreUnderTest> {
    await using cleanup = new AsyncDisposableStack()
    const bucket = cleanup.use(await openTestBucket(server))
    for (const key of await objectsOf(server)) await unlink(join(server.folder, key))
    const owned = cleanup.move()
    return {
      datastore: bucket.datastore,
      kept: async () => [...(await bucket.staged()), ...(await objectsOf(server))],
      handles: async () => bucket.handles(),
      lose: (location) => unlink(join(server.folder, location)),
      cut: (location, bytes) => replace(join(server.folder, location), bytes),
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    }
  }

  datastoreContract('A bucket as datastore, on versitygw', openOnServer)
  growingContract('A bucket, on versitygw', openOnServer)
})

/** A bucket's objects are replaced, never changed: who is reading one goes on reading it. */
async function replace(path: string, bytes: number): Promise<void> {
  await copyFile(path, `${path}.cut`)
  await truncate(`${path}.cut`, bytes)
  await rename(`${path}.cut`, path)
}

async function objectsOf({ folder }: Versitygw): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return files.map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
}
