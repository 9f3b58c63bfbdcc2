import { readFile, rename } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALICE, startApp, type TestApp } from '../support/app.ts'
import { noise } from '../support/images.ts'

const INFO = '/_matrix/media/unstable/info'
const THUMBNAIL = '/_matrix/client/v1/media/thumbnail'
/** As long as a request may take until the decoder has its file; in a longer one the tests see less, and pass. */
const ON_ITS_WAY_MS = 500

/** The decoder stands still from when it has its file until something has happened to that. */
describe.runIf(process.platform === 'linux')('A file that is being decoded', () => {
  let app: TestApp
  let decoder = 0
  beforeAll(async () => {
    app = await startApp({ config: { thumbnails: { numWorkers: 1 } } })
    const before = await children()
    await ask(`${THUMBNAIL}/${await upload()}?width=96&height=96`)
    const [started = 0] = (await children()).filter((pid) => !before.includes(pid))
    expect(started).toBeGreaterThan(0)
    decoder = started
  })
  afterAll(() => app[Symbol.asyncDispose]())

  const ask = (path: string, method = 'GET') => app.ask(path, { token: ALICE.token, method })
  const upload = async () => await app.upload(await noise({ width: 300, height: 200 }).png().toBuffer())

  async function whileDecoded(path: string, happens: () => Promise<unknown>) {
    process.kill(decoder, 'SIGSTOP')
    const asked = ask(path)
    await pause(ON_ITS_WAY_MS)
    await happens()
    process.kill(decoder, 'SIGCONT')
    return await asked
  }

  test.each([THUMBNAIL, INFO])(
    'and is deleted meanwhile is not found, and nobody is told that it is lost: %s',
    async (path) => {
      const media = await upload()
      const remove = async () =>
        expect(await ask(`/_matrix/media/unstable/download/${media}`, 'DELETE')).toMatchObject({ status: 200 })
      const answer = await whileDecoded(`${path}/${media}?width=96&height=96`, remove)
      expect(answer).toMatchObject({ status: 404, json: { errcode: 'M_NOT_FOUND' } })
      expect(app.log()).not.toMatch(/an object is lost|internal error/)
    },
  )

  test.each([THUMBNAIL, INFO])('and is moved meanwhile is decoded where it is then: %s', async (path) => {
    const media = await upload()
    const [, id = ''] = media.split('/')
    const [object] = app.sql('SELECT objects.* FROM objects JOIN media USING (sha256) WHERE media_id = ?', id)
    const location = String(object?.['location'])
    const file = (await app.files()).find((name) => name.endsWith(location)) ?? ''
    const move = async () => {
      await rename(file, `${file}-moved`)
      app.sql('UPDATE objects SET location = ? WHERE location = ?', `${location}-moved`, location)
    }
    const answer = await whileDecoded(`${path}/${media}?width=96&height=96`, move)
    expect(answer.status).toBe(200)
    if (path === INFO) expect(answer.json).toMatchObject({ width: 300, height: 200 })
  })
})

async function children(): Promise<readonly number[]> {
  const listed = await readFile(`/proc/self/task/${process.pid}/children`, 'utf8')
  return listed.split(' ').filter(Boolean).map(Number)
}
