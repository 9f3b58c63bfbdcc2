import { randomBytes } from 'node:crypto'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { setTimeout as pause } from 'node:timers/promises'
import { MsgType, Preset } from 'matrix-js-sdk'
import sharp from 'sharp'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { boundaryOf, readMixed } from '../../src/matrix/mixed.ts'
import { eventually } from '../support/app.ts'
import { makeAuthority } from '../support/authority.ts'
import { noise } from '../support/images.ts'
import { nextPicture, startSyncing } from '../support/matrix-client.ts'
import { describeWith } from '../support/services.ts'
import { type Person, startStack } from '../support/stacks.ts'

const TITLE =
  'Two servers with a Cellarium each (of alice and bob) and one whose Synapse serves media itself (of carol)'
const PICTURE = { name: 'a picture ✓.png', type: 'image/png' }
const SIGNED = '/_matrix/federation/v1/media'
const LEGACY = '/_matrix/media/v3/download'
const KEYS = '/_matrix/key/v2/server'

type Name = 'alice' | 'bob' | 'carol'

/** Whose media comes to whom: every pair of the three. */
const WAYS: readonly (readonly [Name, Name])[] = [
  ['alice', 'bob'],
  ['bob', 'alice'],
  ['alice', 'carol'],
  ['carol', 'alice'],
  ['bob', 'carol'],
  ['carol', 'bob'],
]

describeWith(['synapse', 'nginx', 'openssl'], TITLE, () => {
  const cleanup = new AsyncDisposableStack()
  const people = new Map<Name, Person>()

  beforeAll(async () => {
    const authority = cleanup.use(await makeAuthority())
    setDefaultCACertificates([...getCACertificates('default'), authority.certificate])
    const hosts = { 'a.test': '127.0.0.1', 'b.test': '127.0.0.1', 'c.test': '127.0.0.1' }
    const join = async (name: Name, host: keyof typeof hosts, media: 'cellarium' | 'synapse') => {
      const stack = cleanup.use(await startStack({ host, media, hosts, authority }))
      people.set(name, await stack.person(name))
    }
    await Promise.all([
      join('alice', 'a.test', 'cellarium'),
      join('bob', 'b.test', 'cellarium'),
      join('carol', 'c.test', 'synapse'),
    ])
  }, 180_000)
  afterAll(() => cleanup.disposeAsync())

  const person = (name: Name): Person => {
    const found = people.get(name)
    if (!found) throw new Error('the servers have not been started')
    return found
  }

  test('a picture that is sent into a room arrives at the people of the other servers', async () => {
    const [alice, ...others] = [person('alice'), person('bob'), person('carol')]
    const { room_id: room } = await alice.client.createRoom({
      preset: Preset.TrustedPrivateChat,
      invite: others.map(({ client }) => client.getSafeUserId()),
    })
    const events = []
    for (const { client } of others) {
      await client.joinRoom(room, { viaServers: [alice.at.name] })
      events.push(nextPicture(client))
      await startSyncing(client)
      cleanup.defer(() => client.stopClient())
    }
    const picture = await draw()
    const url = await alice.upload(picture, PICTURE)
    await alice.client.sendMessage(room, { msgtype: MsgType.Image, body: PICTURE.name, url })
    for (const [index, event] of (await Promise.all(events)).entries()) {
      const seen = String(event.getContent()['url'])
      await expectPicture(await others[index]?.get(seen), picture)
    }
  })

  for (const [from, to] of WAYS) {
    test(`what ${from} uploads, ${to} downloads whole, with type and name, twice, by one signed request`, async () => {
      const picture = await draw()
      const mxc = await person(from).upload(picture, PICTURE)
      await expectPicture(await person(to).get(mxc), picture)
      await expectPicture(await person(to).get(mxc), picture)
      expect(await sizeOf(await person(to).thumbnail(mxc, { width: 96, height: 96, method: 'crop' }))).toEqual([96, 96])
      const signed = new RegExp(`^GET ${SIGNED}/download/${idOf(mxc)}(\\?\\S*)? 200$`)
      expect(await asked(from, mxc)).toEqual([expect.stringMatching(signed)])
    })

    test(`of what ${from} uploads, ${to} has thumbnails in the sizes asked for, without the whole before`, async () => {
      const mxc = await person(from).upload(await draw(), PICTURE)
      for (const size of [
        { width: 320, height: 240, method: 'scale' },
        { width: 96, height: 96, method: 'crop' },
      ] as const) {
        const answer = await person(to).thumbnail(mxc, size)
        expect(answer.headers.get('content-type')).toMatch(/^image\//)
        expect(await sizeOf(answer)).toEqual([size.width, size.height])
      }
      expect(await asked(from, mxc), 'one request, for the whole').toHaveLength(1)
    })

    test(`30 MB of ${from} arrive at ${to} as they were`, async () => {
      const bytes = randomBytes(30_000_000)
      const answer = await person(to).get(await person(from).upload(bytes))
      expect(answer.status).toBe(200)
      expect(Buffer.from(await answer.bytes()).equals(bytes)).toBe(true)
    })

    test(`what ${from} has announced, ${to} gets once it is uploaded`, async () => {
      const mxc = await announce(from)
      const answer = person(to).get(mxc, { query: { timeout_ms: '30000' } })
      await pause(500)
      const bytes = randomBytes(10_000)
      const path = `/_matrix/media/v3/upload/${mxc.slice('mxc://'.length)}`
      const headers = { 'content-type': 'application/zip' }
      expect((await person(from).call(path, { method: 'PUT', body: bytes, headers })).status).toBe(200)
      expect((await answer).status).toBe(200)
      expect(Buffer.from(await (await answer).bytes()).equals(bytes)).toBe(true)
    })

    test(`what ${from} does not have, ${to} does not get`, async () => {
      await expectNotFound(await person(to).get(`mxc://${person(from).at.name}/nothing`))
    })

    test(`what is quarantined where ${from} is, is refused to ${to}, who does not have it yet`, async () => {
      const mxc = await person(from).upload(await draw(), PICTURE)
      const path = from === 'carol' ? '/_synapse/admin/v1/media/quarantine' : '/_matrix/media/unstable/admin/quarantine'
      const quarantine = await person(from).call(`${path}/${mxc.slice('mxc://'.length)}`, {
        method: 'POST',
        body: '{}',
      })
      expect(quarantine.status, await quarantine.text()).toBe(200)
      await expectNotFound(await person(to).get(mxc))
      await expectNotFound(await person(to).thumbnail(mxc, { width: 96, height: 96, method: 'crop' }))
    })
  }

  test.each(['bob', 'carol'] as const)('an empty file of alice arrives at %s as such', async (to) => {
    const answer = await person(to).get(await person('alice').upload(Buffer.alloc(0)))
    expect([answer.status, await answer.text()]).toEqual([200, ''])
  })

  // Synapse 1.163 announces a file, ends before it, and is silent on an open connection. Behind nginx, which waits for more,
  // not even that arrives; where it does, nobody shall wait longer.
  test('an answer without the empty file of carol is known for what it is, though the connection stays open', async () => {
    const [bob, carol] = [person('bob').at, person('carol').at]
    const uri = `${SIGNED}/download/${idOf(await person('carol').upload(Buffer.alloc(0)))}`
    const answer = await askFor(carol.homeserverUrl, uri, await bob.authorization(uri, carol))
    const boundary = boundaryOf(answer.headers.get('content-type') ?? '')
    if (!answer.body || boundary === undefined) throw new Error(`no parts, but ${answer.status}`)
    await expect(readMixed(answer.body, boundary)).rejects.toThrow('it ends before its first part')
  })

  test.each([
    ['alice', 'bob'],
    ['carol', 'bob'],
  ] as const)('what %s has announced and does not upload, %s is told to ask for later', async (from, to) => {
    const answer = await person(to).get(await announce(from), { query: { timeout_ms: '300' } })
    expect(answer.status).toBe(504)
    expect(await answer.json()).toMatchObject({ errcode: 'M_NOT_YET_UPLOADED' })
  })

  test.each(['alice', 'carol'] as const)(
    'bob asks for the head only, and then for a part, of what is at %s’s',
    async (from) => {
      const bytes = randomBytes(500_000)
      const mxc = await person(from).upload(bytes, { name: 'a.zip', type: 'application/zip' })
      const head = await person('bob').get(mxc, { method: 'HEAD' })
      expect(head.status).toBe(200)
      expect(Object.fromEntries(head.headers)).toMatchObject({
        'content-type': 'application/zip',
        'content-length': '500000',
        'content-disposition': expect.stringMatching(/^attachment;.*a\.zip/),
      })
      const other = randomBytes(500_000)
      const part = await person('bob').get(await person(from).upload(other), {
        headers: { range: 'bytes=400000-400999' },
      })
      expect(part.status).toBe(206)
      expect(part.headers.get('content-range')).toBe('bytes 400000-400999/500000')
      expect(Buffer.from(await part.bytes()).equals(other.subarray(400_000, 401_000))).toBe(true)
    },
  )

  test.each(['alice', 'bob', 'carol'] as const)(
    '%s’s server asked for the keys of the others’ Synapse',
    async (name) => {
      expect(await person(name).at.asked(KEYS)).toContain(`GET ${KEYS} 200`)
    },
  )

  test('a server that does not sign, or signs as another, gets nothing', async () => {
    const [alice, bob, carol] = [person('alice').at, person('bob').at, person('carol').at]
    const uri = `${SIGNED}/download/${idOf(await person('alice').upload(await draw(), PICTURE))}`
    const bobs = await bob.authorization(uri, alice)
    const carolsAsBob = (await carol.authorization(uri, alice)).replace(carol.name, bob.name)
    expect((await askFor(alice.federationUrl, uri, bobs)).status).toBe(200)
    expect((await askFor(alice.federationUrl, `${uri}?x`, bobs)).status, 'a signature for another address').toBe(401)
    for (const authorization of [undefined, carolsAsBob]) {
      const answer = await askFor(alice.federationUrl, uri, authorization)
      expect(answer.status).toBe(401)
      expect(await answer.json()).toMatchObject({ errcode: 'M_UNAUTHORIZED' })
    }
  })

  test('a server that asks for a thumbnail gets one of that size', async () => {
    const [alice, carol] = [person('alice'), person('carol').at]
    const mxc = await alice.upload(await draw(), PICTURE)
    const uri = `${SIGNED}/thumbnail/${idOf(mxc)}?width=96&height=96&method=crop`
    const answer = await askFor(alice.at.federationUrl, uri, await carol.authorization(uri, alice.at))
    const boundary = boundaryOf(answer.headers.get('content-type') ?? '')
    if (!answer.body || boundary === undefined) throw new Error(`no two parts, but ${answer.status}`)
    const { metadata, headers, body } = await readMixed(answer.body, boundary)
    expect([metadata, headers.get('content-type')]).toEqual([{}, 'image/png'])
    const { width, height } = await sharp(Buffer.concat(await Array.fromAsync(body))).metadata()
    expect([width, height]).toEqual([96, 96])
  })

  test.each(['alice', 'carol'] as const)(
    'media of %s is for nobody without a token, not even once it is here',
    async (from) => {
      const picture = await draw()
      const mxc = await person(from).upload(picture, PICTURE)
      const path = `${LEGACY}/${mxc.slice('mxc://'.length)}`
      await expectNotFound(await fetch(person(from).at.url + path))
      await expectNotFound(await fetch(person('bob').at.url + path))
      expect(await asked(from, mxc, SIGNED), 'nobody may have it, so nobody asks for it').toEqual([])
      await expectPicture(await person('bob').get(mxc), picture)
      await expectNotFound(await fetch(person('bob').at.url + path))
      await expectPicture(await person('bob').call(path), picture)
    },
  )

  // Synapse takes any 504 for the failure of a whole server, and leaves it alone for ten minutes.
  test('carol’s Synapse asks alice’s again after a file that did not come, once it has heard from there', async () => {
    const late = await person('carol').get(await announce('alice'), { query: { timeout_ms: '300' } })
    expect(late.status).toBe(502)
    const mxc = await person('alice').upload(await draw(), PICTURE)
    expect((await person('alice').get(await person('carol').upload(await draw(), PICTURE))).status).toBe(200)
    await eventually(async () => (await person('carol').get(mxc)).status === 200, 30_000)
  })

  async function announce(name: Name): Promise<string> {
    const answer = await person(name).call('/_matrix/media/v1/create', { method: 'POST' })
    expect(answer.status).toBe(200)
    return ((await answer.json()) as { readonly content_uri: string }).content_uri
  }

  /** What others asked of somebody's server about this file. */
  async function asked(name: Name, mxc: string, path = ''): Promise<readonly string[]> {
    return (await person(name).at.asked(idOf(mxc))).filter((line) => line.includes(path))
  }
})

/** A new one each time: the same upload by the same person keeps its media id. */
async function draw(): Promise<Buffer<ArrayBuffer>> {
  return Buffer.from(await noise({ width: 640, height: 480 }).png().toBuffer())
}

const idOf = (mxc: string) => mxc.slice(mxc.lastIndexOf('/') + 1)

function askFor(url: string, uri: string, authorization: string | undefined): Promise<Response> {
  return fetch(url + uri, { headers: authorization === undefined ? {} : { authorization } })
}

async function sizeOf(answer: Response): Promise<readonly number[]> {
  expect(answer.status).toBe(200)
  const { width, height } = await sharp(await answer.bytes()).metadata()
  return [width, height]
}

async function expectPicture(answer: Response | undefined, picture: Buffer): Promise<void> {
  if (answer?.status !== 200) throw new Error(`answered ${answer?.status}: ${await answer?.text()}`)
  expect(answer.headers.get('content-type')).toBe('image/png')
  expect(answer.headers.get('content-disposition')).toMatch(/^inline;.*filename\*=utf-8''a%20picture%20%E2%9C%93\.png/i)
  expect(Buffer.from(await answer.bytes()).equals(picture), 'the same bytes').toBe(true)
}

async function expectNotFound(answer: Response): Promise<void> {
  expect(answer.status).toBe(404)
  expect(await answer.json()).toMatchObject({ errcode: 'M_NOT_FOUND' })
}
