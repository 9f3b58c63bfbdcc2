/** A Cellarium on its core with a homeserver beside it, and ways to fill it. */
import { randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runProgram, startProgram, untilReady } from '../test/support/processes.ts'
import { type Server, startServer } from '../test/support/server.ts'
import { LOAD_CORE, pinned, SERVER_CORE } from './cores.ts'
import type { UploadFigures, UploadJob } from './load/uploader.ts'

export interface StageOptions {
  /** A folder on the disk to be measured; each stage makes one of its own in it. */
  readonly folder: string
  /** Where the server and its threads leave their CPU profiles when they end, if anywhere. */
  readonly profiles?: string | undefined
  /** What stands after the colon in its users' names; `bench.example`, if not given. */
  readonly name?: string
  /** The key with which the homeserver asks other servers, if it does. */
  readonly signingKeyPath?: string
  /** On which cores the server runs, with all it starts; the server's core if not given. */
  readonly cores?: string
  /** The program of Node that runs it, and that it starts its own processes with; the bench's if not given. */
  readonly node?: string
  /** More environment variables. */
  readonly env?: Readonly<Record<string, string>>
  /** More of the configuration. */
  readonly config?: Readonly<Record<string, unknown>>
}

export interface Stage extends AsyncDisposable {
  readonly server: Server
  /** This stage's own folder. */
  readonly folder: string
  readonly headers: Readonly<Record<string, string>>
  /** Uploads a file; gives its path for downloads, with `kind` that for thumbnails. */
  upload(file: File, kind?: 'download' | 'thumbnail'): Promise<string>
  /** Runs the uploader for large files on the load generator's core. */
  uploadMany(
    job: Pick<UploadJob, 'bytes' | 'connections' | 'until' | 'same'> & { seed?: string },
  ): Promise<UploadFigures>
}

export interface File {
  readonly bytes: Uint8Array
  readonly type: string
}

/** A program beside the server, ready to be asked. */
export interface Started extends AsyncDisposable {
  readonly port: number
  readonly pid: number
}

const NAME = 'bench.example'
const TOKEN = 'bench-token'
export const UPLOAD_PATH = '/_matrix/media/v3/upload'

/** Starts a fresh server with an empty database and an empty file datastore. */
export async function openStage(options: StageOptions): Promise<Stage> {
  await using cleanup = new AsyncDisposableStack()
  const { name = NAME } = options
  const folder = join(options.folder, randomBytes(4).toString('hex'))
  await mkdir(folder)
  const homeserver = cleanup.use(await startOnLoadCore('load/homeserver.ts', `@bench:${name}`))
  const config = configuration(`http://127.0.0.1:${homeserver.port}`, options)
  const server = cleanup.use(await startPinned(folder, config, options))
  const headers = { Host: name, Authorization: `Bearer ${TOKEN}` }
  const owned = cleanup.move()
  return {
    server,
    folder,
    headers,
    upload: (file, kind = 'download') => uploadOne(server, headers, file, kind),
    uploadMany: (job) => runUploader({ seed: newSeed(), ...job, port: server.port, path: UPLOAD_PATH, headers }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** What makes a run's bodies different from all other runs'. */
export const newSeed = (): string => randomBytes(8).toString('hex')

/** The server's configuration: defaults, but for what would end a benchmark or measure something else. */
function configuration(csApi: string, { name = NAME, config, signingKeyPath }: StageOptions): Record<string, unknown> {
  return {
    homeservers: [{ name, csApi, ...(signingKeyPath && { signingKeyPath }) }],
    accessTokens: { maxCacheTimeSeconds: 43_200 },
    rateLimit: { enabled: false },
    uploads: { minBytes: 0, maxPending: 0 },
    ...config,
  }
}

/** Its log goes to a file, at the default level. */
const ontoCores = (cores: string, node: string) =>
  ['taskset', '-c', cores, 'sh', '-c', 'node=$1; shift 2; exec "$node" "$@" >>output.log', 'sh', node] as const

async function startPinned(
  folder: string,
  config: Record<string, unknown>,
  { profiles, cores = String(SERVER_CORE), node = process.execPath, env: more }: StageOptions,
): Promise<Server> {
  const env: Record<string, string> = { ...more }
  if (profiles) env['NODE_OPTIONS'] = `--cpu-prof --cpu-prof-interval=500 --cpu-prof-dir=${profiles}`
  return await startServer({ config, folder, wrap: ontoCores(cores, node), env })
}

/** Starts a program that prints its port, on the load generator's core. */
export function startOnLoadCore(file: string, ...args: readonly string[]): Promise<Started> {
  return startOn(LOAD_CORE, file, args)
}

/** Starts a program that prints its port, on the server's core: instead of the server, not beside it. */
export function startOnServerCore(file: string, ...args: readonly string[]): Promise<Started> {
  return startOn(SERVER_CORE, file, args)
}

async function startOn(core: number, file: string, args: readonly string[]): Promise<Started> {
  const program = await startProgram({ command: [...pinned(core), process.execPath, path(file), ...args] })
  const port = () => program.lines.map((line) => /^port (\d+)$/.exec(line)?.[1]).find(Boolean)
  await untilReady(program, async () => port() !== undefined)
  return { port: Number(port()), pid: program.pid, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() }
}

async function uploadOne(
  server: Server,
  { Host, ...headers }: Record<string, string>,
  { bytes, type }: File,
  kind: 'download' | 'thumbnail',
): Promise<string> {
  const answer = await fetch(`${server.url}${UPLOAD_PATH}`, {
    method: 'POST',
    // fetch does not let Host be chosen.
    headers: { ...headers, 'X-Forwarded-Host': Host ?? '', 'Content-Type': type },
    body: bytes as Uint8Array<ArrayBuffer>,
  })
  if (answer.status !== 200) throw new Error(`an upload was answered ${answer.status}: ${await answer.text()}`)
  const { content_uri: mxc } = (await answer.json()) as { content_uri: string }
  return `/_matrix/client/v1/media/${kind}/${mxc.slice('mxc://'.length)}`
}

async function runUploader(job: UploadJob): Promise<UploadFigures> {
  const command = [...pinned(LOAD_CORE), process.execPath, path('load/uploader.ts'), JSON.stringify(job)]
  return JSON.parse(await runProgram({ command }))
}

function path(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url))
}
