/** A Cellarium with another server to fetch files from. */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { makeAuthority } from '../test/support/authority.ts'
import { runProgram } from '../test/support/processes.ts'
import { LOAD_CORE, pinned, SERVER_CORE } from './cores.ts'
import type { FetchFigures, FetchJob } from './load/fetcher.ts'
import { startNginx } from './references/nginx.ts'
import { MEGABYTE } from './row.ts'
import { newSeed, openStage, type Stage, type StageOptions, startOnLoadCore, startOnServerCore } from './stage.ts'

type Fetches = Pick<FetchJob, 'bytes' | 'connections' | 'until' | 'same' | 'pauseMs'> & { readonly seed?: string }

export interface RemoteStage extends AsyncDisposable {
  readonly stage: Stage
  readonly origin: Origin
  /** Downloads files of the origin through Cellarium, which has none of them. */
  fetchMany(fetches: Fetches): Promise<FetchFigures>
  /** The same without Cellarium in between. */
  askOrigin(fetches: Fetches): Promise<FetchFigures>
  /** The same with nginx in between, which only passes on what it gets. */
  askThroughNginx(fetches: Fetches): Promise<FetchFigures>
  /** The same with a few lines of Node in between, which only pass on what they get. */
  askThroughNode(fetches: Fetches): Promise<FetchFigures>
  /** How many requests the origin got for media IDs that begin so. */
  asked(mediaIds: string): Promise<number>
  /** What undici alone gets onto the same disk, on the server's core. */
  undiciAlone(fetches: { readonly bytes: number; readonly connections: number; readonly seconds: number }): Promise<{
    readonly megabytesPerSecond: number
    readonly cpuMsPerMegabyte: number
  }>
}

interface Origin {
  readonly name: string
  readonly port: number
  readonly pid: number
}

/** What the other server's address continues with when a server asks it for a file. */
export const SIGNED = '/_matrix/federation/v1/media/download/'
/** More than any row fetches at a time, also from one server: half of it. */
const WORKERS = 64

/** How Cellarium, or a client, gets to the other server. */
export type Connections =
  /** Without TLS, which costs the same for whatever this is compared with. */
  | 'plain'
  /** Over TLS, on a connection that is there already: a server that was asked a moment ago. */
  | 'kept'
  /** Over TLS, each time on a new one: a server that was not asked for a while. */
  | 'new'

/** Starts both. */
export async function openRemoteStage(
  setting: Pick<StageOptions, 'folder' | 'profiles'>,
  connections: Connections = 'plain',
): Promise<RemoteStage> {
  await using cleanup = new AsyncDisposableStack()
  const tls = connections === 'plain' ? undefined : await certify(cleanup, setting.folder)
  const files = tls ? [tls.certificate, tls.key, connections === 'new' ? 'close' : 'keep'] : []
  const program = cleanup.use(await startOnLoadCore('load/origin.ts', ...files))
  const origin = { name: `127.0.0.1:${program.port}`, port: program.port, pid: program.pid }
  const stage = cleanup.use(
    await openStage({
      ...setting,
      signingKeyPath: await newSigningKey(setting.folder),
      config: { federation: { disallowedNetworks: [] }, downloads: { maxBytes: 0, numWorkers: WORKERS } },
      env: tls ? { NODE_EXTRA_CA_CERTS: tls.authority } : { MEDIA_REPO_HTTP_ONLY_FEDERATION: 'true' },
    }),
  )
  const nginx = cleanup.use(
    await startNginx(setting.folder, {
      scheme: tls ? 'https' : 'http',
      port: origin.port,
      keepsConnections: connections !== 'new',
    }),
  )
  const relay = cleanup.use(
    await startOnServerCore(
      'references/relay.ts',
      String(origin.port),
      tls?.authority ?? '',
      connections === 'new' ? 'close' : 'keep',
    ),
  )
  const path = `/_matrix/client/v1/media/download/${origin.name}/`
  const owned = cleanup.move()
  return {
    stage,
    origin,
    fetchMany: (fetches) =>
      runFetcher({ seed: newSeed(), ...fetches, port: stage.server.port, path, headers: stage.headers }),
    askOrigin: (fetches) => runFetcher({ ...asked(fetches, origin.port), authority: tls?.authority }),
    askThroughNginx: (fetches) => runFetcher(asked(fetches, nginx.port)),
    askThroughNode: (fetches) => runFetcher(asked(fetches, relay.port)),
    asked: async (mediaIds) => Number(await (await fetch(`http://${origin.name}/asked/${mediaIds}`)).text()),
    undiciAlone: async ({ bytes, connections, seconds }) =>
      await undiciAlone([`http://${origin.name}${SIGNED}`, bytes, connections, seconds, stage.folder]),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function asked(fetches: Fetches, port: number): FetchJob {
  return { seed: newSeed(), ...fetches, port, path: SIGNED, headers: {} }
}

/** Files of a certificate for this host on this machine, its key, and its authority. */
export async function certify(cleanup: AsyncDisposableStack, folder: string, host = '127.0.0.1') {
  const authority = cleanup.use(await makeAuthority())
  const { cert, key } = await authority.issue(host)
  const files = { authority: authority.file, certificate: join(folder, 'origin.pem'), key: join(folder, 'origin.key') }
  await writeFile(files.certificate, cert)
  await writeFile(files.key, key)
  return files
}

export async function newSigningKey(folder: string): Promise<string> {
  const path = join(folder, 'signing.key')
  await writeFile(path, `ed25519 a_bench ${randomBytes(32).toString('base64').replace(/=+$/, '')}\n`)
  return path
}

export async function runFetcher(job: FetchJob): Promise<FetchFigures> {
  const command = [...pinned(LOAD_CORE), process.execPath, path('load/fetcher.ts'), JSON.stringify(job)]
  return JSON.parse(await runProgram({ command }))
}

async function undiciAlone(args: readonly (string | number)[]) {
  const command = [...pinned(SERVER_CORE), process.execPath, path('references/undici.ts'), ...args.map(String)]
  const [bytesPerSecond = NaN, cpuSecondsPerByte = NaN] = (await runProgram({ command })).split(' ').map(Number)
  return {
    megabytesPerSecond: bytesPerSecond / MEGABYTE,
    cpuMsPerMegabyte: cpuSecondsPerByte * 1000 * MEGABYTE,
  }
}

function path(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url))
}
