import { createHash, randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALICE, type Answered, type Asked, eventually, startApp, type TestApp } from '../support/app.ts'

let app: TestApp
beforeAll(async () => void (app = await startApp()))
afterAll(() => app[Symbol.asyncDispose]())

const get = (media: string, asked: Asked = {}) =>
  app.ask(`/_matrix/client/v1/media/download/${media}`, { token: ALICE.token, ...asked })

/** Everything of an answer that must not depend on where its bytes were. */
function whole({ status, headers, body }: Answered) {
  const { 'x-request-id': _, date: __, ...others } = headers
  return { status, headers: others, body: createHash('sha256').update(body).digest('hex') }
}

const WAYS: readonly Asked[] = [
  {},
  { method: 'HEAD' },
  { headers: { range: 'bytes=10-19' } },
  { headers: { range: 'bytes=-5' } },
  { headers: { range: 'bytes=3-' } },
  { headers: { range: 'bytes=9999999-' } },
  { headers: { 'if-none-match': '*' } },
]

test.for([1, 1024, 16 * 1024, 16 * 1024 + 1, 100 * 1024, 1024 * 1024])(
  'A file of %i bytes is answered from memory exactly as from the disk, in every way',
  async (size) => {
    const bytes = randomBytes(size)
    const media = await app.upload(bytes, { type: 'text/plain', name: 'ä b.txt' })
    const fromDisk = [whole(await get(media))]
    for (const way of WAYS.slice(1)) fromDisk.push(whole(await get(media, way)))
    await get(media)
    // Nothing is left to read from.
    for (const file of await app.files()) await rm(file)
    const fromMemory = []
    for (const way of WAYS) fromMemory.push(whole(await get(media, way)))
    expect(fromMemory).toEqual(fromDisk)
    expect((await get(media)).body.equals(bytes)).toBe(true)
  },
)

test('A file of more than maxFileSizeBytes stays on the disk, and a reload changes what that is', async () => {
  const media = await app.upload(randomBytes(2000))
  await app.reload({ downloads: { cache: { maxFileSizeBytes: 1999 } } })
  for (let time = 0; time < 3; time++) expect((await get(media)).status).toBe(200)
  for (const file of await app.files()) await rm(file)
  // Files stay open for two seconds.
  await eventually(async () => (await get(media)).status === 404)
})
