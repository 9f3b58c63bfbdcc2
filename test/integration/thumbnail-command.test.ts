import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'
import { quarters } from '../support/images.ts'
import { startProgram } from '../support/processes.ts'

const BIN = fileURLToPath(new URL('../../bin/', import.meta.url))
const PATIENT = 120_000

/** Runs a program of `bin/` in a folder, without a configuration. */
async function run(folder: string, name: string, ...args: string[]) {
  const { CELLARIUM_DATA: _data, REPO_CONFIG: _config, ...environment } = process.env
  const command = [process.execPath, join(BIN, `${name}.js`), ...args]
  await using program = await startProgram({ command, folder, environment })
  const { code } = await program.ended
  return { code, text: program.lines.join('\n') }
}

async function withPicture() {
  const folder = await temporaryFolder()
  await (await quarters({ width: 1200, height: 800 })).png().toFile(join(folder.path, 'in.png'))
  const look = async (name: string) => {
    const { format, width, height } = await sharp(await readFile(join(folder.path, name))).metadata()
    return `${format} ${width}x${height}`
  }
  const command = (...args: string[]) => run(folder.path, 'cellarium', 'thumbnail', ...args)
  return { folder, look, command, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() }
}

describe('cellarium thumbnail', { timeout: PATIENT }, () => {
  test('makes what the server would, and says what came of it', async () => {
    await using place = await withPicture()
    const { code, text } = await place.command('in.png')
    expect(text).toMatch(/^thumbnail\.png: image\/png, 512 × 341 pixels, \d+ bytes$/)
    expect([code, await place.look('thumbnail.png')]).toEqual([0, 'png 512x341'])
    await place.command('in.png', '-o', 'crop.png', '--width=96', '--height', '64', '--method', 'crop')
    expect(await place.look('crop.png')).toBe('png 96x64')
  })

  test('gives the file itself when it is no larger than asked', async () => {
    await using place = await withPicture()
    const { text } = await place.command('in.png', '-w', '2000', '-H', '2000', '-o', 'same.png')
    expect(text).toContain('the file itself')
    const [before, after] = await Promise.all(
      ['in.png', 'same.png'].map((name) => readFile(join(place.folder.path, name))),
    )
    expect(after).toEqual(before)
  })

  test('keeps to the configuration: types, limits, animation', async () => {
    await using place = await withPicture()
    await writeFile(join(place.folder.path, 'small.yaml'), 'thumbnails: {maxPixels: 1000}\n')
    const large = await place.command('in.png', '--config', 'small.yaml')
    expect([large.code, large.text]).toEqual([1, expect.stringContaining('1200 × 800 pixels')])
    await writeFile(join(place.folder.path, 'types.yaml'), 'thumbnails: {types: [image/jpeg]}\n')
    const type = await place.command('in.png', '--config', 'types.yaml')
    expect([type.code, type.text]).toEqual([1, expect.stringContaining('image/png')])
    await expect(stat(join(place.folder.path, 'thumbnail.png'))).rejects.toThrow('ENOENT')
    const frames = await Promise.all(
      [1, 2].map((n) =>
        sharp({ create: sheet(n * 100) })
          .png()
          .toBuffer(),
      ),
    )
    await sharp(frames, { join: { animated: true } })
      .gif()
      .toFile(join(place.folder.path, 'in.gif'))
    const moving = await place.command('in.gif', '-a', '-w', '32', '-H', '32')
    expect(moving.text).toMatch(/^thumbnail\.webp: image\/webp, 32 × 32/)
  })

  test('replaces nothing unless it is told to, and says what is wrong', async () => {
    await using place = await withPicture()
    await writeFile(join(place.folder.path, 'there'), 'before')
    const refused = await place.command('in.png', '-o', 'there')
    expect([refused.code, refused.text]).toEqual([1, expect.stringContaining('there is there already; --force')])
    expect(await readFile(join(place.folder.path, 'there'), 'utf8')).toBe('before')
    expect((await place.command('in.png', '-o', 'there', '--force')).code).toBe(0)
    expect(await place.look('there')).toBe('png 512x341')
    expect(await place.command('missing.png')).toMatchObject({ code: 1, text: expect.stringContaining('ENOENT') })
    expect(await place.command('.')).toMatchObject({ code: 1, text: 'Cannot make a thumbnail: . is no file' })
    expect(await place.command('in.png', '-w', '0')).toMatchObject({ code: 1, text: expect.stringContaining('pixels') })
  })
})

describe("matrix-media-repo's thumbnailer", { timeout: PATIENT }, () => {
  test('takes its flags, of which -h is the height, and replaces files', async () => {
    await using place = await withPicture()
    const path = place.folder.path
    const flags = ['-i', 'in.png', '-o=out.png', '-w', '96', '-h=64', '-m', 'crop', '-f', 'image/png']
    for (let time = 0; time < 2; time++) expect((await run(path, 'thumbnailer', ...flags)).code).toBe(0)
    expect(await place.look('out.png')).toBe('png 96x64')
    for (const [said, code] of [
      ['-a=true', 0],
      ['-a=false', 0],
      ['-a=perhaps', 2],
    ] as const) {
      expect(await run(path, 'thumbnailer', ...flags, said)).toMatchObject({ code })
    }
    const help = await run(path, 'thumbnailer', '-help')
    expect([help.code, help.text]).toEqual([0, expect.stringContaining('--h <pixels>')])
    expect(await run(path, 'thumbnailer', '-o', 'x')).toMatchObject({ code: 2, text: expect.stringContaining('--i') })
  })
})

const sheet = (level: number) => ({
  width: 64,
  height: 64,
  channels: 3 as const,
  background: { r: level, g: level, b: 0 },
})
