/**
 * Whole servers that federate on one machine: a real Synapse and a real nginx each, with the configuration of
 * `docs/reverse-proxy.md`; in front of some, a Cellarium of its own serves media.
 */
import { join } from 'node:path'
import type { MatrixClient } from 'matrix-js-sdk'
import { signRequest } from '../../src/matrix/x-matrix.ts'
import { readKeyFile } from '../../src/matrix/keys/key-files.ts'
import { eventually } from './app.ts'
import type { Authority } from './authority.ts'
import { type Folder, temporaryFolder } from './folder.ts'
import { addressOf, fetchAs, logIn, type Size } from './matrix-client.ts'
import { type Nginx, startNginx } from './nginx.ts'
import { type Server, startServer } from './server.ts'
import { freePort } from './services.ts'
import { startSynapse, type Synapse, type SynapseOptions } from './synapse.ts'

const PASSWORD = 'a password for tests'

export interface StackOptions {
  /** What it is called by others; they find it on this machine, at a port that is part of its name. */
  readonly host: string
  /** Who serves its media. */
  readonly media: 'cellarium' | 'synapse'
  /** Where it finds all of them, by host name, and whose certificates they have. */
  readonly hosts: Readonly<Record<string, string>>
  readonly authority: Authority
  /** More of how its Synapse is. */
  readonly synapse?: Pick<SynapseOptions, 'postgres' | 'bucket' | 'previews'>
  /** The options of the S3 datastore that Cellarium keeps its files in; a folder, if not given. */
  readonly bucket?: Readonly<Record<string, string>>
}

export interface Stack extends AsyncDisposable {
  /** What stands after the colon in its users' names. */
  readonly name: string
  /** Base URLs, https: for its users, and for other servers. */
  readonly url: string
  readonly federationUrl: string
  /** Synapse itself, behind the proxy. */
  readonly homeserverUrl: string
  readonly synapse: Synapse
  /** The requests that came from outside and have this in their address, as `GET /path?query 200`. */
  readonly asked: (text: string) => Promise<readonly string[]>
  /** What it would send with a GET request to another server. */
  readonly authorization: (uri: string, destination: Stack) => Promise<string>
  /** Makes an account, an administrator's, and logs a client in. */
  readonly person: (name: string) => Promise<Person>
}

/** Somebody with a client. */
export interface Person {
  readonly client: MatrixClient
  readonly at: Stack
  /** Uploads, and gives the MXC URI. */
  readonly upload: (
    bytes: Buffer<ArrayBuffer>,
    file?: { readonly name: string; readonly type: string },
  ) => Promise<string>
  /** Downloads by the address that the client knows, plus a query. */
  readonly get: (mxc: string, asked?: Asked) => Promise<Response>
  readonly thumbnail: (mxc: string, size: Size) => Promise<Response>
  /** Anything else at the person's server. */
  readonly call: (path: string, asked?: Asked) => Promise<Response>
}

export interface Asked extends RequestInit {
  readonly query?: Readonly<Record<string, string>>
}

/** Starts one. Needs `describeWith(['synapse', 'nginx', 'openssl'], …)`. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { host, media, hosts, authority } = options
  await using cleanup = new AsyncDisposableStack()
  const federationPort = await freePort()
  const name = `${host}:${federationPort}`
  const synapse = cleanup.use(
    await startSynapse({
      serverName: name,
      federation: { hosts, authorityFile: authority.file },
      servesMedia: media === 'synapse',
      ...options.synapse,
    }),
  )
  const folder = cleanup.use(await temporaryFolder())
  const cellarium = media === 'cellarium' ? cleanup.use(await serveMediaOf(synapse, folder, options)) : undefined
  const nginx = cleanup.use(
    await startNginx({
      cellariumPort: cellarium?.port ?? synapse.port,
      homeserverPort: synapse.port,
      serverName: name,
      federationPort,
      certificate: { ...(await authority.issue(host, '127.0.0.1')), authority: authority.certificate },
    }),
  )
  const { url, federationUrl } = nginx
  const owned = cleanup.move()
  const stack: Stack = {
    name,
    url,
    federationUrl,
    homeserverUrl: synapse.url,
    synapse,
    asked: (text) => asked(nginx, text),
    authorization: async (uri, destination) => {
      const [key] = await readKeyFile(synapse.signingKey)
      return signRequest({ method: 'GET', uri, origin: name, destination: destination.name }, key)
    },
    person: async (person) => {
      await synapse.register(person, PASSWORD, { admin: true })
      return personWith(await logIn(url, `@${person}:${name}`, PASSWORD), stack)
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
  return stack
}

function personWith(client: MatrixClient, at: Stack): Person {
  const request = (address: string, { query = {}, ...asked }: Asked = {}) => {
    const url = new URL(address)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    return fetchAs(client, url.href, asked)
  }
  return {
    client,
    at,
    upload: async (bytes, file = { name: '', type: 'application/octet-stream' }) =>
      (await client.uploadContent(bytes, file)).content_uri,
    get: (mxc, asked) => request(addressOf(client, mxc), asked),
    thumbnail: (mxc, size) => request(addressOf(client, mxc, size)),
    call: (path, asked) => request(at.url + path, asked),
  }
}

/** As an administrator would set it up, in a department that federates on its own network. */
async function serveMediaOf(
  synapse: Synapse,
  folder: Folder,
  { hosts, authority, bucket }: StackOptions,
): Promise<Server> {
  const hostsFile = await folder.write(
    'hosts',
    Object.entries(hosts)
      .map(([host, at]) => `${at} ${host}\n`)
      .join(''),
  )
  const { serverName, url, signingKey } = synapse
  const path = join(folder.path, 'media')
  const files = { id: 'files', forKinds: ['all'] }
  const config = {
    homeservers: [{ name: serverName, csApi: url, adminApiKind: 'synapse', signingKeyPath: signingKey }],
    database: { sqlite: join(folder.path, 'cellarium.sqlite') },
    datastores: [bucket ? { type: 's3', ...files, opts: bucket } : { type: 'file', ...files, opts: { path } }],
    federation: { disallowedNetworks: [] },
    uploads: { minBytes: 0 },
  }
  const env = { CELLARIUM_HOSTS_FILE: hostsFile, NODE_EXTRA_CA_CERTS: authority.file }
  return await startServer({ config, env })
}

/** Lines come a moment after their answers, but in order: all of before are there once that of a question of ours is. */
async function asked(nginx: Nginx, text: string): Promise<readonly string[]> {
  const path = `/_matrix/client/versions?${process.hrtime.bigint()}`
  const { body } = await nginx.agent.request({ origin: nginx.url, path, method: 'GET' })
  await body.dump()
  await eventually(async () => (await nginx.asked()).some((line) => line.includes(path)))
  return (await nginx.asked()).filter((line) => line.includes(text))
}
