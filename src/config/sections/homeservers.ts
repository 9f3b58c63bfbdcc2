import { z } from 'zod'
import { anywhere, choice, complain, mainOnly, needed, option, text, textThat, wholeOr } from '../option.ts'

const SERVER_NAME = /^(?:[A-Za-z0-9.-]{1,255}|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/
const isServerName = (value: string) => SERVER_NAME.test(value)
const isHttpUrl = (value: string) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)

export const serverName = () => textThat(isServerName, 'a server name like example.org, example.org:8448 or [::1]:8448')
export const csApi = () => textThat(isHttpUrl, 'an address that begins with http:// or https://')
export const adminApiKind = () =>
  z.preprocess((value) => (value === '' ? 'matrix' : value), choice(['matrix', 'synapse', 'dendrite']))

const introspectionKeys = z
  .object({
    endpoint: option(
      textThat(
        (value) => value === '' || isHttpUrl(value),
        'an address that begins with http:// or https://, or empty',
      ),
      '',
      {
        ...anywhere,
        example: 'https://auth.example.org/oauth2/introspect',
        description: 'Address of its introspection endpoint. Empty: the homeserver is asked, as adminApiKind says.',
      },
    ),
    clientId: option(text(), '', {
      ...anywhere,
      example: '01JADMIN0000000000CELLARIUM',
      description: 'Name to log in with there. Empty: the secret is sent as a token.',
    }),
    clientSecret: option(text(), '', {
      ...anywhere,
      secret: true,
      example: 'a long random value',
      description: 'Secret to log in with there.',
    }),
    scopes: option(z.array(text()).min(1), ['urn:synapse:admin:*'], {
      ...anywhere,
      description: 'Scopes of administrators: a token that has one of them is theirs.',
    }),
  })
  .superRefine(({ endpoint, clientSecret }, context) => {
    if (endpoint !== '' && clientSecret === '') {
      complain(context, ['clientSecret'], 'is empty, and the endpoint answers nobody without a secret; set it')
    }
  })
  .prefault({})
  .meta({
    description:
      'Asks an OAuth 2.0 server (Matrix Authentication Service) by token introspection (RFC 7662) who is an administrator, where the homeserver leaves logins to it.',
  })

/** What is said of one homeserver, in `homeservers` or at the top of its per-domain file. */
export const homeserverKeys = {
  csApi: needed(csApi(), {
    ...anywhere,
    example: 'https://example.org/',
    description: "Base address of the homeserver's client-server API, as seen from here.",
  }),
  backoffAt: option(wholeOr(10), 10, {
    ...anywhere,
    description:
      'After this many failures in a row the homeserver is not asked for a minute; 0 or below means 10. Raise it for homeservers that are restarted often.',
  }),
  adminApiKind: option(adminApiKind(), 'matrix', {
    ...anywhere,
    example: 'synapse',
    description: 'How to ask whether a user is an administrator of the homeserver: synapse, dendrite, or plain matrix.',
  }),
  introspection: introspectionKeys,
  signingKeyPath: option(text(), '', {
    ...anywhere,
    example: '/data/example.org.key',
    description: 'Signing key for requests to other servers (authenticated media). Without one they are made unsigned.',
  }),
}

export const homeserver = z.object({
  name: needed(serverName(), {
    ...mainOnly,
    example: 'example.org',
    description: 'Server name, as in @user:NAME; requests name it in their Host header.',
  }),
  ...homeserverKeys,
})

export const homeservers = z
  .array(homeserver)
  .superRefine((entries, context) => {
    const names = entries.map((entry) => entry.name)
    for (const [index, name] of names.entries()) {
      const first = names.indexOf(name)
      if (first !== index) complain(context, [index, 'name'], `${name} is already the name of homeservers[${first}]`)
    }
  })
  .default([])
  .meta({
    reload: 'live',
    scope: 'main',
    description: 'The homeservers served here. A per-domain file can add further ones.',
  })
