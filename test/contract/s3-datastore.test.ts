import { copyFile, readdir, rename, truncate, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { startS3Double } from '../support/s3-double.ts'
import { describeWith } from '../support/services.ts'
import { startVersitygw, type Versitygw } from '../support/versitygw.ts'
import { type DatastoreUnderTest, datastoreContract } from './datastore.ts'
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
