import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { findPrograms } from '../../src/thumbnails/programs.ts'
import type { ProgramName, Programs } from '../../src/thumbnails/programs.ts'
import { film, pdfOf, recording, referringTo } from '../support/films.ts'
import { type Folder, temporaryFolder } from '../support/folder.ts'
import { runProgram } from '../support/processes.ts'
import { describeWith, requireService } from '../support/services.ts'
import { openThumbnailer, type Thumbnailer } from '../support/thumbnailing.ts'

const types = ['video/mp4', 'video/quicktime', 'video/webm', 'audio/mpeg', 'audio/ogg', 'application/pdf']
const page = { width: 200, height: 300, colour: '1 0 0' }
const system = /^\/(usr|lib|lib64|proc|sys|dev|etc\/(ld\.so|fonts|localtime|papersize)|var\/cache\/fontconfig)/

const playlists = (path: string, server: string) => ({
  'an HLS playlist of a file': `#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n${path}\n#EXT-X-ENDLIST\n`,
  'an HLS playlist of an address': `#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nhttp://${server}/a.ts\n`,
  'a list of files to join': `ffconcat version 1.0\nfile '${path}'\n`,
  'a list of addresses to join': `ffconcat version 1.0\nfile 'http://${server}/a.mp4'\n`,
  'a DASH manifest': `<MPD><Period><AdaptationSet><Representation><BaseURL>http://${server}/</BaseURL>`,
  'a session description': `v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 15000 RTP/AVP 96\n`,
})

/** A PDF file whose page draws a picture that is elsewhere. */
function pdfWithPictureAt(where: string): Buffer {
  const picture = `5 0 obj<</Type/XObject/Subtype/Image/Width 1/Height 1/Length 0/F ${where}>>stream\n\nendstream endobj`
  const pdf = pdfOf([{ ...page, colour: `/X Do ${page.colour}` }], [picture]).toString()
  return Buffer.from(pdf.replace('/Contents', '/Resources<</XObject<</X 5 0 R>>>>/Contents'))
}

describeWith(['ffmpeg', 'pdftoppm', 'strace'], 'programs that decode files from strangers', () => {
  let folder: Folder
  let pool: Thumbnailer
  let records: string
  let secret: string
  let listener: Server
  let address: string
  let connections = 0
  beforeAll(async () => {
    folder = await temporaryFolder()
    records = join(folder.path, 'records')
    pool = openThumbnailer(folder.path, types, { programs: observed() })
    secret = await film(folder.path, 'secret.mov', ['-c:v', 'libx264'])
    listener = createServer((socket) => {
      connections++
      socket.destroy()
    })
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
    const bound = listener.address()
    address = `127.0.0.1:${typeof bound === 'object' ? bound?.port : ''}`
  })
  beforeEach(async () => {
    await rm(records, { recursive: true, force: true })
    await mkdir(records)
  })
  afterAll(async () => {
    await pool[Symbol.asyncDispose]()
    listener.close()
    await folder[Symbol.asyncDispose]()
  })

  /** The programs of this machine, each watched by strace. */
  async function observed(): Promise<Programs> {
    const found = await findPrograms(process.env['PATH'] ?? '', new AbortController().signal)
    const watched = await Promise.all(
      (['ffmpeg', 'ffprobe', 'pdftoppm'] satisfies ProgramName[]).map(async (name) => {
        const path = join(folder.path, `watched-${name}`)
        const command = `${requireService('strace')} -f -qq -s 4096 -e trace=openat,open,connect,socket,execve`
        const script = `exec ${command} -o "${records}/${name}.$$" ${found[name]?.path} "$@"`
        await writeFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
        return [name, { path, version: '0' }] as const
      }),
    )
    return { ...found, ...Object.fromEntries(watched) }
  }

  /** What the programs have opened since, but for the system's own files, and their sockets. */
  async function seen(): Promise<{ readonly files: readonly string[]; readonly sockets: readonly string[] }> {
    const texts = await Promise.all((await readdir(records)).map((name) => readFile(join(records, name), 'utf8')))
    const lines = texts.join('\n').split('\n')
    const opened = lines.flatMap((line) => /open(?:at)?\((?:AT_FDCWD, )?"([^"]*)".* = \d+$/.exec(line)?.[1] ?? [])
    expect(opened.length).toBeGreaterThan(0)
    return {
      files: [...new Set(opened.filter((path) => !system.test(path)))],
      sockets: lines.filter((line) => /\b(socket|connect)\(/.test(line)),
    }
  }

  async function outcome(bytes: Buffer): Promise<string> {
    return await pool.thumbnail(bytes).then(
      ({ kind }) => kind,
      (error: unknown) => (error instanceof Error ? error.message : 'no error'),
    )
  }

  test('read the file that they are given and write to a folder of their own', async () => {
    const sources = [
      await film(folder.path, 'film.webm', ['-c:v', 'libvpx', '-c:a', 'libvorbis']),
      await recording(folder.path, 'sound.mp3'),
      join(folder.path, 'page.pdf'),
    ]
    await writeFile(sources[2] ?? '', pdfOf([page]))
    for (const source of sources) expect(await pool.thumbnail(source)).toMatchObject({ kind: 'thumbnail' })
    const { files, sockets } = await seen()
    const others = files.filter((path) => !sources.includes(path))
    expect(files).toEqual(expect.arrayContaining(sources))
    for (const path of others) expect(path).toMatch(/\/cellarium-worker-\w+\/(media|pdf)-\w+\/(frame|cover|page)/)
    expect(sockets).toEqual([])
  })

  test('follow no reference to a track in another file, which ffmpeg would if it were told to', async () => {
    const reference = join(folder.path, 'reference.mov')
    await writeFile(reference, referringTo(await readFile(secret), secret))
    const careless = ['-v', 'verbose', '-enable_drefs', '1', '-use_absolute_path', '1', '-i', reference]
    const ffmpeg = requireService('ffmpeg')
    const printed = await runProgram({ command: [ffmpeg, ...careless, '-frames:v', '1', '-f', 'null', '-'] })
    expect(printed).toContain(`Opening '${secret}'`)
    await outcome(await readFile(reference))
    expect((await seen()).files).not.toContain(secret)
  })

  const ftyp = Buffer.from('\0\0\0\u0018ftypmp42\0\0\0\0mp42isom', 'latin1')
  const id3 = Buffer.from('ID3\u0003\0\0\0\0\0\0', 'latin1')
  test.each(Object.keys(playlists('', '')))('read no playlist, whatever it is disguised as: %s', async (name) => {
    const text = Buffer.from(Object.entries(playlists(secret, address)).find(([key]) => key === name)?.[1] ?? '')
    const before = connections
    for (const disguise of [[], [ftyp], [id3], [Buffer.from('OggS')], [Buffer.from('\x1aE\xdf\xa3', 'latin1')]]) {
      expect(await outcome(Buffer.concat([...disguise, text]))).toMatch(/^Cannot make a thumbnail/)
    }
    const { files, sockets } = await seen()
    expect(files).not.toContain(secret)
    expect(sockets).toEqual([])
    expect(connections).toBe(before)
  })

  test('follow no reference from a PDF file to a file or an address', async () => {
    await outcome(pdfWithPictureAt(`(${secret})`))
    await outcome(pdfWithPictureAt(`<</FS/URL/F(http://${address}/a)>>`))
    const { files, sockets } = await seen()
    expect(files).not.toContain(secret)
    expect(sockets).toEqual([])
  })
})
