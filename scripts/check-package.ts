/**
 * Packs the package as it would be published, installs it in an empty folder, and runs it there: `cellarium --version`, then
 * a server that has to be healthy, take a picture and make a thumbnail of it (by its worker processes, whose files it finds by
 * name). The sources run as TypeScript, the package as JavaScript; only this finds what the step between them lost. Run by
 * `.ci/run`.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { stringify } from 'yaml'
import { runProgram, startProgram, untilReady } from '../test/support/processes.ts'
import { temporaryFolder } from '../test/support/folder.ts'
import { freePort } from '../test/support/services.ts'

const SECRET = 'secret-of-this-one-check'
const CHECKOUT = fileURLToPath(new URL('..', import.meta.url))

await main()

async function main(): Promise<void> {
  await using temporary = await temporaryFolder()
  const folder = temporary.path
  const environment = administratorsEnvironment()
  const tarball = await pack(folder, environment)
  await writeFile(join(folder, 'package.json'), '{ "private": true }')
  await runProgram({ command: ['npm', 'install', '--no-audit', tarball], folder, environment })
  const cellarium = join(folder, 'node_modules', '.bin', 'cellarium')
  await checkVersion(cellarium, folder, environment)
  await checkKeys(folder, environment)
  await checkServer(cellarium, folder, environment)
}

/** Without our node_modules in PATH: the machine's own Node has to find the one that comes with the package. */
function administratorsEnvironment(): NodeJS.ProcessEnv {
  const path = process.env['PATH']?.split(delimiter).filter((entry) => !entry.includes('node_modules'))
  return { ...process.env, PATH: path?.join(delimiter) }
}

async function pack(target: string, environment: NodeJS.ProcessEnv): Promise<string> {
  await runProgram({ command: ['npm', 'pack', '--pack-destination', target], folder: CHECKOUT, environment })
  const tarball = join(target, `cellarium-${await ownVersion()}.tgz`)
  const files = (await runProgram({ command: ['tar', '-tzf', tarball] })).split('\n')
  const unwanted = files.filter((file) => /\.test\.|\.ts$/.test(file))
  if (unwanted.length > 0) throw new Error(`the package holds files that are only for us: ${unwanted.join(', ')}`)
  console.log(`packed ${files.length} files`)
  return tarball
}

async function checkVersion(cellarium: string, folder: string, environment: NodeJS.ProcessEnv): Promise<void> {
  const printed = await runProgram({ command: [cellarium, '--version'], folder, environment })
  const version = await ownVersion()
  if (!printed.includes(version)) throw new Error(`cellarium --version printed "${printed}", not ${version}`)
  console.log(`cellarium --version: ${printed.trim()}`)
}

/** As matrix-docker-ansible-deploy calls it: by its bare name, without a configuration. */
async function checkKeys(folder: string, environment: NodeJS.ProcessEnv): Promise<void> {
  const bin = join(folder, 'node_modules', '.bin')
  await runProgram({ command: [join(bin, 'generate_signing_key'), '-output', 'one.key'], folder, environment })
  const combine = [join(bin, 'combine_signing_keys'), '-format', 'synapse', '-output', 'merged.key', 'one.key']
  const printed = await runProgram({ command: combine, folder, environment })
  if (!/^ed25519 \w{6} \S{43}$/.test(await readFile(join(folder, 'merged.key'), 'utf8'))) {
    throw new Error(`combine_signing_keys wrote no key; it printed ${printed}`)
  }
  console.log('generate_signing_key, combine_signing_keys: wrote a key')
}

async function checkServer(cellarium: string, folder: string, environment: NodeJS.ProcessEnv): Promise<void> {
  const port = await freePort()
  const config = join(folder, 'cellarium.yaml')
  await writeFile(config, stringify(configuration(folder, port)))
  const started = Date.now()
  await using server = await startProgram({ command: [cellarium, 'serve', '--config', config], folder, environment })
  await untilReady(server, async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).status === 200, 30_000)
  console.log(`cellarium serve: healthy after ${Date.now() - started} ms`)
  await checkThumbnail(`http://localhost:${port}`)
  const { code, signal } = await server.stop('SIGTERM')
  if (code !== 0) throw new Error(`cellarium ended with ${code ?? signal} on SIGTERM:\n${server.lines.join('\n')}`)
  console.log('cellarium serve: ended with 0 on SIGTERM')
}

function configuration(folder: string, port: number): object {
  return {
    repo: { port, dataPath: join(folder, 'data'), logDirectory: '-' },
    // The shared secret spares a homeserver.
    homeservers: [{ name: 'localhost', csApi: 'http://127.0.0.1:1' }],
    sharedSecretAuth: { enabled: true, token: SECRET },
    datastores: [{ type: 'file', id: 'files', forKinds: ['all'], opts: { path: join(folder, 'media') } }],
  }
}

async function checkThumbnail(url: string): Promise<void> {
  const headers = { Authorization: `Bearer ${SECRET}`, 'Content-Type': 'image/png' }
  const background = { r: 200, g: 80, b: 40 }
  const picture = await sharp({ create: { width: 400, height: 300, channels: 3, background } })
    .png()
    .toBuffer()
  const upload = await fetch(`${url}/_matrix/media/v3/upload`, {
    method: 'POST',
    headers,
    body: new Uint8Array(picture),
  })
  const answer = await upload.text()
  const mxc = /mxc:\/\/(?<id>[^"]+)/.exec(answer)?.groups?.['id']
  if (!mxc) throw new Error(`the upload was answered with ${upload.status} ${answer}`)
  const address = `${url}/_matrix/client/v1/media/thumbnail/${mxc}?width=96&height=96&method=crop`
  const thumbnail = await fetch(address, { headers })
  const bytes = await thumbnail.bytes()
  if (!thumbnail.ok)
    throw new Error(`the thumbnail was answered with ${thumbnail.status} ${String(Buffer.from(bytes))}`)
  const { width, height } = await sharp(bytes).metadata()
  if (width !== 96 || height !== 96) throw new Error(`the thumbnail has ${width} × ${height} pixels, not 96 × 96`)
  console.log('cellarium serve: took a picture and made a thumbnail of it')
}

async function ownVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8'))
  return String(version)
}
