import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runProgram } from './processes.ts'
import { requireService } from './services.ts'
import { asPpm, type Scene } from './scene.ts'

/** Pictures of a scene made by programs that have no part in decoding them. */

/** `options` of ImageMagick between what it reads and what it writes; `as` its name for the type, with or without depth. */
export async function byImageMagick(
  folder: string,
  scene: Scene | string,
  as: string,
  options: readonly string[] = [],
): Promise<Buffer> {
  const target = join(folder, `made.${as}`)
  const source = typeof scene === 'string' ? scene : `ppm:${await ppm(folder, scene)}`
  await runProgram({ command: [requireService('imagemagick'), source, ...options, `${as}:${target}`] })
  return await readFile(target)
}

/** Several scenes make one file with several pictures. */
export async function byHeifEnc(
  folder: string,
  scenes: Scene | readonly Scene[],
  options: readonly string[] = [],
  drawing: readonly string[] = [],
): Promise<Buffer> {
  const target = join(folder, 'made.heic')
  const sources: string[] = []
  for (const [index, scene] of [scenes].flat().entries()) {
    const source = join(folder, `source-${index}.png`)
    await writeFile(source, await byImageMagick(folder, scene, 'png', drawing))
    sources.push(source)
  }
  await runProgram({ command: [requireService('heif-enc'), ...options, ...sources, '-o', target] })
  return await readFile(target)
}

export async function byCjxl(
  folder: string,
  scene: Scene,
  options: readonly string[] = [],
  from: readonly [as: string, ...options: string[]] = ['png'],
): Promise<Buffer> {
  const [as, ...how] = from
  const [source, target] = [join(folder, `source.${as.replace(/\d+$/, '')}`), join(folder, 'made.jxl')]
  await writeFile(source, await byImageMagick(folder, scene, as, how))
  await runProgram({ command: [requireService('cjxl'), source, target, '--quiet', ...options] })
  return await readFile(target)
}

async function ppm(folder: string, scene: Scene): Promise<string> {
  const path = join(folder, 'scene.ppm')
  await writeFile(path, asPpm(scene))
  return path
}
