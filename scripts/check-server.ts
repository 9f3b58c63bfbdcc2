/** What a packed server has to do, whatever it was packed into: become healthy, take a picture, make a thumbnail, end on SIGTERM. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { stringify } from 'yaml'
import { startProgram, untilReady } from '../test/support/processes.ts'
import { freePort } from '../test/support/services.ts'

const SECRET = 'secret-of-this-one-check'

export interface Packed {
  /** The program that is `cellarium`, with what has to stand before its arguments. */
  readonly cellarium: readonly string[]
  readonly folder: string
  readonly environment: NodeJS.ProcessEnv
  /** The folder's name to the server, where that is another. */
  readonly inside?: string
}

/** Throws where it does not. */
export async function checkServer({ cellarium, folder, environment, inside = folder }: Packed): Promise<void> {
  const port = await freePort()
  await writeFile(join(folder, 'cellarium.yaml'), stringify(configuration(inside, port)))
  const started = Date.now()
  const command = [...cellarium, 'serve', '--config', join(inside, 'cellarium.yaml')]
  await using server = await startProgram({ command, folder, environment })
  await untilReady(server, async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).status === 200, 60_000)
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
  const body = new Uint8Array(picture)
  const upload = await fetch(`${url}/_matrix/media/v3/upload`, { method: 'POST', headers, body })
  const answer = await upload.text()
  const mxc = /mxc:\/\/(?<id>[^"]+)/.exec(answer)?.groups?.['id']
  if (!mxc) throw new Error(`the upload was answered with ${upload.status} ${answer}`)
  const download = await fetch(`${url}/_matrix/client/v1/media/download/${mxc}`, { headers })
  if (!picture.equals(await download.bytes())) throw new Error('the download is not what was uploaded')
  const address = `${url}/_matrix/client/v1/media/thumbnail/${mxc}?width=96&height=96&method=crop`
  const thumbnail = await fetch(address, { headers })
  const bytes = await thumbnail.bytes()
  if (!thumbnail.ok)
    throw new Error(`the thumbnail was answered with ${thumbnail.status} ${String(Buffer.from(bytes))}`)
  const { width, height } = await sharp(bytes).metadata()
  if (width !== 96 || height !== 96) throw new Error(`the thumbnail has ${width} × ${height} pixels, not 96 × 96`)
  console.log('cellarium serve: took a picture, gave it back, and made a thumbnail of it')
}
