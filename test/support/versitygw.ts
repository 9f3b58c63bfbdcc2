/** A real S3 server for tests: versitygw on a folder, with one bucket. */
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Certificate } from './authority.ts'
import { temporaryFolder } from './folder.ts'
import { type Program, startProgram, untilReady } from './processes.ts'
import { freePort, requireService } from './services.ts'

export interface Versitygw extends AsyncDisposable {
  readonly port: number
  /** `127.0.0.1:PORT`, as MMR's `endpoint` has it: `options` say whether with TLS. */
  readonly endpoint: string
  readonly bucket: string
  readonly accessKeyId: string
  readonly accessSecret: string
  /** The bucket on disk: each object is a file under its key. */
  readonly folder: string
  /** `opts` of a datastore that keeps its objects there. */
  readonly options: Readonly<Record<string, string>>
  /** Ends the server with SIGKILL, as a crash does. */
  readonly kill: () => Promise<void>
  /** Starts it again on the same port and folder, once it has ended. */
  readonly restart: () => Promise<void>
}

/**
 * Starts versitygw and waits until it answers; with TLS, if it gets a certificate by an authority that this process trusts.
 * Needs `describeWith('versitygw', …)`.
 */
export async function startVersitygw(certificate?: Certificate): Promise<Versitygw> {
  await using cleanup = new AsyncDisposableStack()
  const { path } = cleanup.use(await temporaryFolder())
  const [bucket, accessKeyId, accessSecret] = ['media', 'test-key', randomBytes(20).toString('hex')]
  for (const name of ['root', 'sidecar', `root/${bucket}`]) await mkdir(join(path, name))
  const port = await freePort()
  const keys = { ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: accessSecret }
  const tls = certificate ? await writeTls(path, certificate) : []
  const start = () => startServer({ path, port, keys, tls })
  let server = await start()
  cleanup.defer(() => server[Symbol.asyncDispose]())
  const endpoint = `127.0.0.1:${port}`
  const owned = cleanup.move()
  return {
    port,
    endpoint,
    bucket,
    accessKeyId,
    accessSecret,
    folder: join(path, 'root', bucket),
    options: {
      endpoint,
      bucketName: bucket,
      accessKeyId,
      accessSecret,
      ssl: String(certificate !== undefined),
      region: 'us-east-1',
    },
    kill: async () => void (await server.stop('SIGKILL')),
    restart: async () => void (server = await start()),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function writeTls(path: string, { cert, key }: Certificate): Promise<readonly string[]> {
  const [certFile, keyFile] = [join(path, 'cert.pem'), join(path, 'key.pem')]
  await writeFile(certFile, cert)
  await writeFile(keyFile, key)
  return ['--cert', certFile, '--key', keyFile]
}

interface Start {
  readonly path: string
  readonly port: number
  readonly keys: NodeJS.ProcessEnv
  readonly tls: readonly string[]
}

async function startServer({ path, port, keys, tls }: Start): Promise<Program> {
  // Metadata beside the objects: not every folder of a test can have extended attributes.
  const backend = ['posix', '--sidecar', join(path, 'sidecar'), join(path, 'root')]
  const server = await startProgram({
    command: [
      requireService('versitygw'),
      '--port',
      `127.0.0.1:${port}`,
      ...tls,
      '--keep-alive',
      '--quiet',
      ...backend,
    ],
    environment: { PATH: process.env['PATH'], HOME: path, ...keys },
    folder: path,
  })
  // Unsigned requests are refused: an answer all the same.
  const url = `${tls.length > 0 ? 'https' : 'http'}://127.0.0.1:${port}/`
  await untilReady(server, async () => (await fetch(url)).status > 0)
  return server
}
