/** Who is an administrator, by the word of a real Synapse: one that keeps its own accounts, and one that leaves logins to MAS. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { HomeserverOptions, IntrospectionOptions } from '../../src/matrix/options.ts'
import { heldHomeservers, type HeldHomeservers } from '../support/homeservers.ts'
import { HOMESERVER, type IntrospectionDouble, startIntrospection } from '../support/introspection.ts'
import { describeWith } from '../support/services.ts'
import { startSynapse, type Synapse } from '../support/synapse.ts'

const API = 'urn:matrix:org.matrix.msc2967.client:api:*'
const ADMIN = 'urn:synapse:admin:*'
const address = '192.0.2.7'

function optionsOf(synapse: Synapse, kind: HomeserverOptions['adminApiKind'], introspection?: IntrospectionOptions) {
  return {
    name: synapse.serverName,
    csApi: synapse.url,
    backoffAt: 3,
    adminApiKind: kind,
    timeouts: { clientServerTimeoutSeconds: 60 },
    accessTokens: { maxCacheTimeSeconds: 0, useLocalAppserviceConfig: false, appservices: [] },
    ...(introspection && { introspection }),
  }
}

/** As a request with this token is answered: who it is, and whether an administrator. */
async function ask({ homeservers }: HeldHomeservers, homeserver: HomeserverOptions, token: string) {
  const caller = await homeservers.whoami(homeserver, { token }, { address })
  return [caller.userId, await homeservers.isAdmin(homeserver, caller, { address })]
}

describeWith('synapse', 'A Synapse with its own accounts', () => {
  test('knows its administrators, by either question, and is not taken for broken by those who are none', async () => {
    await using synapse = await startSynapse({ serverName: 'example.org' })
    await using held = heldHomeservers()
    const root = await synapse.register('root', 'a password', { admin: true })
    const alice = await synapse.register('alice', 'a password')
    for (const kind of ['synapse', 'matrix'] as const) {
      const homeserver = optionsOf(synapse, kind)
      for (let time = 0; time < 6; time++) {
        expect(await ask(held, homeserver, alice.accessToken)).toEqual([alice.userId, false])
        held.wait(60_000)
      }
      expect(await ask(held, homeserver, root.accessToken)).toEqual([root.userId, true])
    }
    expect(held.log()).not.toContain('keeps failing')
  })
})

describeWith('synapse', 'A Synapse that leaves logins to Matrix Authentication Service', () => {
  let mas: IntrospectionDouble
  let synapse: Synapse
  let held: HeldHomeservers
  beforeAll(async () => {
    mas = await startIntrospection()
    const leavesLoginsTo = { url: new URL(mas.endpoint).origin, secret: HOMESERVER.clientSecret }
    synapse = await startSynapse({ serverName: 'example.org', leavesLoginsTo })
    held = heldHomeservers()
    await provision('root')
    mas.add({ token: 'mat_everyday', username: 'root', scope: API })
    mas.add({ token: 'mat_admin', username: 'root', scope: `${API} ${ADMIN}` })
  })
  afterAll(async () => {
    await held[Symbol.asyncDispose]()
    await synapse[Symbol.asyncDispose]()
    await mas[Symbol.asyncDispose]()
  })

  /** As MAS makes an account known to Synapse. */
  async function provision(localpart: string): Promise<void> {
    const headers = { authorization: `Bearer ${HOMESERVER.clientSecret}`, 'content-type': 'application/json' }
    const path = `${synapse.url}/_synapse/mas/provision_user`
    const answer = await fetch(path, { method: 'POST', headers, body: JSON.stringify({ localpart }) })
    expect(answer.ok, await answer.text()).toBe(true)
  }

  test.each(['the homeserver itself', 'introspection with its secret'] as const)(
    'has an administrator whose token has the scope; the same user with an everyday token is none: asked by way of %s',
    async (way) => {
      const introspection = { endpoint: mas.endpoint, ...HOMESERVER, scopes: [ADMIN] }
      const homeserver = optionsOf(synapse, 'synapse', way === 'the homeserver itself' ? undefined : introspection)
      expect(await ask(held, homeserver, 'mat_admin')).toEqual(['@root:example.org', true])
      expect(await ask(held, homeserver, 'mat_everyday')).toEqual(['@root:example.org', false])
      await expect(ask(held, homeserver, 'mat_unknown')).rejects.toMatchObject({ status: 401 })
    },
  )
})
