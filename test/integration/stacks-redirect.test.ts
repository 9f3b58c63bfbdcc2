import { randomBytes } from 'node:crypto'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeAuthority } from '../support/authority.ts'
import { noise } from '../support/images.ts'
import { describeWith } from '../support/services.ts'
import { type Person, startStack } from '../support/stacks.ts'
import { startVersitygw } from '../support/versitygw.ts'

const HOSTS = { 'a.test': '127.0.0.1', 'b.test': '127.0.0.1', 'c.test': '127.0.0.1' }

describeWith(
  ['synapse', 'nginx', 'openssl', 'versitygw'],
  'A server (of alice) that sends others to its bucket, one with a Cellarium (of bob) and one whose Synapse serves media itself (of carol)',
  () => {
    const cleanup = new AsyncDisposableStack()
    const people = new Map<string, Person>()

    beforeAll(async () => {
      const authority = cleanup.use(await makeAuthority())
      setDefaultCACertificates([...getCACertificates('default'), authority.certificate])
      const s3 = cleanup.use(await startVersitygw(await authority.issue('127.0.0.1')))
      const bucket = { ...s3.options, presign: 'true', federationRedirect: 'true' }
      const network = { hosts: HOSTS, authority }
      const starting = [
        ['alice', startStack({ ...network, host: 'a.test', media: 'cellarium', bucket })],
        ['bob', startStack({ ...network, host: 'b.test', media: 'cellarium' })],
        ['carol', startStack({ ...network, host: 'c.test', media: 'synapse' })],
      ] as const
      for (const [name, stack] of starting) people.set(name, await cleanup.use(await stack).person(name))
    }, 180_000)
    afterAll(() => cleanup.disposeAsync())

    const person = (name: string): Person => {
      const found = people.get(name)
      if (!found) throw new Error('the servers have not been started')
      return found
    }

    test.each(['bob', 'carol'])('%s downloads a picture from there, and has thumbnails of it', async (to) => {
      const picture = Buffer.from(await noise({ width: 640, height: 480 }).png().toBuffer())
      const mxc = await person('alice').upload(picture, { name: 'a cat.png', type: 'image/png' })
      await expectRedirect(mxc, to)
      const answer = await person(to).get(mxc)
      expect(answer.status, await answer.clone().text()).toBe(200)
      expect(answer.headers.get('content-type')).toBe('image/png')
      expect(answer.headers.get('content-disposition')).toMatch(/^inline;.*a( |%20)cat\.png/)
      expect(Buffer.from(await answer.bytes()).equals(picture)).toBe(true)
      const thumbnail = await person(to).thumbnail(mxc, { width: 96, height: 96, method: 'crop' })
      const { width, height } = await sharp(await thumbnail.bytes()).metadata()
      expect([width, height]).toEqual([96, 96])
    })

    test.each(['bob', 'carol'])('%s downloads 30 MB from there', async (to) => {
      const bytes = randomBytes(30_000_000)
      const mxc = await person('alice').upload(bytes)
      await expectRedirect(mxc, to)
      const answer = await person(to).get(mxc)
      expect(answer.status).toBe(200)
      expect(Buffer.from(await answer.bytes()).equals(bytes)).toBe(true)
    })

    /** What somebody's server is told by alice's is where the file is. */
    async function expectRedirect(mxc: string, to: string): Promise<void> {
      const { at } = person('alice')
      const uri = `/_matrix/federation/v1/media/download/${mxc.slice(mxc.lastIndexOf('/') + 1)}`
      const headers = { authorization: await person(to).at.authorization(uri, at) }
      expect(await (await fetch(at.federationUrl + uri, { headers })).text()).toContain('Location: https://127.0.0.1:')
    }
  },
)
