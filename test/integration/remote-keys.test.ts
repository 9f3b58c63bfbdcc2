import { expect, test } from 'vitest'
import { openMetrics } from '../../src/lib/metrics.ts'
import { Discovery } from '../../src/matrix/discovery.ts'
import { RemoteKeys } from '../../src/matrix/keys/remote-keys.ts'
import { requestKeysFrom } from '../../src/matrix/keys/request-keys.ts'
import { Origins } from '../../src/matrix/origins.ts'
import { keyBody, newKey, withSignature } from '../support/key-servers.ts'
import { recordingLog } from '../support/log.ts'
import { describeWith } from '../support/services.ts'
import { delegating, type Handler, startSmallInternet } from '../support/small-internet.ts'

const [KEY, NOTARY_KEY] = [newKey('one'), newKey('notary')]
const HOUR = 3_600_000

async function started(notaries: readonly string[] = []) {
  await using cleanup = new AsyncDisposableStack()
  const internet = cleanup.use(await startSmallInternet())
  const { clock, door, lookup } = internet
  const { log } = recordingLog()
  const discovery = new Discovery({ clock, door, lookup, random: () => 0.5, plainHttp: false, pause: async () => {} })
  const origins = new Origins({ log, clock, door, discovery, backoffAt: () => 20 })
  const events = { log, metrics: openMetrics({ version: 'test' }) }
  const request = requestKeysFrom(origins)
  const keys = cleanup.use(new RemoteKeys({ request, notaries: () => notaries, clock, events }))
  const owned = cleanup.move()
  const body = (server: string, key = KEY) => keyBody(server, { keys: [key], validUntil: clock.now() + HOUR })
  return { internet, keys, body, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const answering =
  (paths: Readonly<Record<string, unknown>>): Handler =>
  (request, response) => {
    const found = paths[`${request.method} ${request.url}`]
    response.writeHead(found === undefined ? 404 : 200).end(JSON.stringify(found ?? {}))
  }

const endless: Handler = (_, response) => {
  const more = () => {
    while (!response.destroyed && response.write('x'.repeat(10_000)));
  }
  response.on('drain', more)
  more()
}

const message = (name: string) => `the signing keys of ${name} cannot be fetched: its server does not answer`

describeWith('openssl', "Another server's keys", () => {
  test('come from where its well-known address says it is, over TLS', async () => {
    await using remote = await started()
    const { internet, keys } = remote
    internet.dns.set('a.test', { A: ['203.0.113.1'] })
    internet.dns.set('matrix.a.test', { A: ['203.0.113.2'] })
    await internet.add('203.0.113.1', 443, { certificate: ['a.test'], handler: delegating('matrix.a.test:443') })
    const handler = answering({ 'GET /_matrix/key/v2/server': remote.body('a.test') })
    await internet.add('203.0.113.2', 443, { certificate: ['matrix.a.test'], handler })
    expect([...(await keys.find('a.test', [KEY.id])).current.keys()]).toEqual([KEY.id])
    expect(internet.requests.map(({ at, path }) => `${at} ${path}`)).toEqual([
      '203.0.113.1:443 /.well-known/matrix/server',
      '203.0.113.2:443 /_matrix/key/v2/server',
    ])
  })

  test('come from a notary where it is gone', async () => {
    await using remote = await started(['notary.test'])
    const { internet, keys } = remote
    internet.dns.set('notary.test', { A: ['203.0.113.3'] })
    const entry = withSignature(remote.body('gone.test'), 'notary.test', NOTARY_KEY)
    const handler = answering({
      'GET /_matrix/key/v2/server': remote.body('notary.test', NOTARY_KEY),
      'POST /_matrix/key/v2/query': { server_keys: [entry] },
    })
    await internet.add('203.0.113.3', 8448, { certificate: ['notary.test'], handler })
    expect([...(await keys.find('gone.test', [KEY.id])).current.keys()]).toEqual([KEY.id])
  })

  test('are not waited for to the end of an answer that has none, nor sought in private networks', async () => {
    await using remote = await started()
    const { internet, keys } = remote
    internet.dns.set('endless.test', { A: ['203.0.113.4'] })
    internet.dns.set('private.test', { A: ['10.0.0.5'] })
    await internet.add('203.0.113.4', 8448, { certificate: ['endless.test'], handler: endless })
    await expect(keys.find('endless.test', [KEY.id])).rejects.toThrow(message('endless.test'))
    await expect(keys.find('private.test', [KEY.id])).rejects.toThrow(message('private.test'))
    expect(internet.dialled.filter((place) => place.startsWith('10.'))).toEqual([])
  })
})
