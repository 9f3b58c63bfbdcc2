/**
 * What undici alone does on one core: gets bodies into files, several at a time for so long, each synced as a stored file is and
 * then deleted, and prints bytes a second and seconds of CPU used. Arguments: the address up to the media ID, bytes of a file, how
 * many at a time, seconds, a folder.
 */
import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { Agent, request } from 'undici'

const [address = '', bytes = '', connections = '', seconds = '', folder = ''] = process.argv.slice(2)
const run = randomBytes(6).toString('hex')
const dispatcher = new Agent()
let begun = 0
let done = 0

await Promise.all(Array.from({ length: Number(connections) }, () => download()))
const [began, before] = [performance.now(), process.cpuUsage()]
done = 0
await Promise.all(Array.from({ length: Number(connections) }, goOn))
const { user, system } = process.cpuUsage(before)
console.log(done / ((performance.now() - began) / 1000), (user + system) / 1e6 / done)
await dispatcher.close()

async function goOn(): Promise<void> {
  while (performance.now() - began < Number(seconds) * 1000) await download()
}

async function download(): Promise<void> {
  const name = `${bytes}-${run}-${begun++}`
  const { body, statusCode } = await request(address + name, { dispatcher })
  if (statusCode !== 200) throw new Error(`a download was answered ${statusCode}`)
  const path = join(folder, name)
  await pipeline(body, createWriteStream(path, { flags: 'wx' }))
  await sync(path)
  await unlink(path)
  done += Number(bytes)
}

async function sync(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.datasync()
}
