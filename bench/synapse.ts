/** A Cellarium with a real Synapse to fetch files from, which knows its keys. */
import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { SigningKey } from '../src/matrix/keys/signing-key.ts'
import { readKeyFile } from '../src/matrix/keys/key-files.ts'
import { signRequest } from '../src/matrix/x-matrix.ts'
import { keyBody } from '../test/support/key-servers.ts'
import { freePort } from '../test/support/services.ts'
import { startSynapse, type Synapse } from '../test/support/synapse.ts'
import type { FetchFigures, GivenFile } from './load/fetcher.ts'
import { startNginx } from './references/nginx.ts'
import { certify, newSigningKey, runFetcher, SIGNED } from './remote.ts'
import { newSeed, openStage, type Stage, type StageOptions, UPLOAD_PATH } from './stage.ts'

/** Who is asked: Cellarium, which has to fetch it; Synapse; or nginx, which only passes on what Synapse answers. */
export type Asked = 'cellarium' | 'synapse' | 'nginx'

export interface SynapseStage extends AsyncDisposable {
  readonly stage: Stage
  readonly synapsePid: number
  /** Gives Synapse so many files, no two alike. */
  upload(files: { readonly bytes: number; readonly count: number }): Promise<readonly Uploaded[]>
  /** Asks for files one after the other; the first `uncounted` are not in the figures. */
  fetch(asked: Asked, asking: Asking): Promise<FetchFigures>
}

export type Uploaded = Omit<GivenFile, 'headers'>

export interface Asking {
  readonly files: readonly Uploaded[]
  readonly uncounted: number
  /** Before each, in ms. */
  readonly pauseMs: number
}

const HOST = 'bench.example'
const DAY_MS = 86_400_000
/** At a time; more than Synapse can do. */
const UPLOADS = 4

/** Starts both: Synapse, as everything that the bench starts without saying where, on the load generator's core. */
export async function openSynapseStage(setting: Pick<StageOptions, 'folder' | 'profiles'>): Promise<SynapseStage> {
  await using cleanup = new AsyncDisposableStack()
  const signingKeyPath = await newSigningKey(setting.folder)
  const [key] = await readKeyFile(signingKeyPath)
  const keys = await publishKey(cleanup, setting.folder, key)
  const port = await freePort()
  const synapse = cleanup.use(
    await startSynapse({
      serverName: `127.0.0.1:${port}`,
      port,
      federation: { hosts: { [HOST]: '127.0.0.1' }, authorityFile: keys.authority },
      servesMedia: true,
      largestUpload: '1G',
    }),
  )
  const stage = cleanup.use(
    await openStage({
      ...setting,
      name: keys.name,
      signingKeyPath,
      config: { federation: { disallowedNetworks: [] }, downloads: { maxBytes: 0 } },
      env: { MEDIA_REPO_HTTP_ONLY_FEDERATION: 'true' },
    }),
  )
  const nginx = cleanup.use(await startNginx(setting.folder, { scheme: 'http', port, keepsConnections: true }))
  const { accessToken } = await synapse.register('bench', newSeed())
  const through = { path: `/_matrix/client/v1/media/download/${synapse.serverName}/`, headers: stage.headers }
  const jobs = {
    cellarium: { ...through, port: stage.server.port },
    synapse: { path: SIGNED, headers: {}, port },
    nginx: { path: SIGNED, headers: {}, port: nginx.port },
  }
  const signed = (file: Uploaded) => signedFor(file, { origin: keys.name, destination: synapse.serverName, key })
  const owned = cleanup.move()
  return {
    stage,
    synapsePid: synapse.pid,
    upload: (files) => uploadMany(synapse, accessToken, files),
    fetch: async (asked, { files, ...others }) => {
      const list = join(setting.folder, 'list.json')
      await writeFile(list, JSON.stringify(asked === 'cellarium' ? files : files.map(signed)))
      const job = { ...jobs[asked], ...others, list, until: { fetches: files.length } }
      return await runFetcher({ ...job, connections: 1, bytes: 0, seed: '' })
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Where Synapse asks for the keys of Cellarium's homeserver, over TLS as it does everywhere. */
async function publishKey(cleanup: AsyncDisposableStack, folder: string, key: SigningKey) {
  const files = await certify(cleanup, folder, HOST)
  const pair = { cert: await readFile(files.certificate), key: await readFile(files.key) }
  const server = createServer(pair, (request, response) => {
    const isKeys = request.url?.startsWith('/_matrix/key/v2/server')
    const body = isKeys ? keyBody(name, { keys: [key], validUntil: Date.now() + DAY_MS }) : {}
    response.writeHead(isKeys ? 200 : 404, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanup.defer(() => {
    server.close()
    server.closeAllConnections()
  })
  const name = `${HOST}:${(server.address() as AddressInfo).port}`
  return { name, authority: files.authority }
}

function signedFor(
  file: Uploaded,
  { key, ...servers }: { readonly origin: string; readonly destination: string; readonly key: SigningKey },
): GivenFile {
  const authorization = signRequest({ ...servers, method: 'GET', uri: SIGNED + file.mediaId }, key)
  return { ...file, headers: { Host: servers.destination, Authorization: authorization } }
}

async function uploadMany(
  synapse: Synapse,
  accessToken: string,
  { bytes, count }: { readonly bytes: number; readonly count: number },
): Promise<readonly Uploaded[]> {
  const files: Uploaded[] = []
  let begun = 0
  const goOn = async () => {
    while (begun++ < count) files.push({ bytes, mediaId: await uploadOne(synapse, accessToken, bytes) })
  }
  await Promise.all(Array.from({ length: UPLOADS }, goOn))
  return files
}

async function uploadOne({ url }: Synapse, accessToken: string, bytes: number): Promise<string> {
  const body = Buffer.alloc(bytes, '.')
  randomBytes(16).copy(body)
  const headers = { Authorization: `Bearer ${accessToken}`, 'Content-Type': 'video/mp4' }
  const answer = await fetch(url + UPLOAD_PATH, { method: 'POST', headers, body })
  if (answer.status !== 200) throw new Error(`an upload was answered ${answer.status}: ${await answer.text()}`)
  const { content_uri: mxc } = (await answer.json()) as { content_uri: string }
  return mxc.slice(mxc.lastIndexOf('/') + 1)
}
