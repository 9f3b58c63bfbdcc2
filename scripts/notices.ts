/** The licences of what a release or an image carries along, which ask to be kept with copies. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

const LICENCE = /^(licen[cs]e|copying|notice)/i

/** One text: for each package below `node_modules` its name, version, licence, and the files that say more. */
export async function noticesOf(nodeModules: string): Promise<string> {
  const packages = (await packageFolders(nodeModules)).toSorted()
  const notices = await Promise.all(packages.map((folder) => noticeOf(join(nodeModules, folder))))
  return ['What Cellarium carries along, and under which terms.', ...notices].join(`\n\n${'='.repeat(80)}\n\n`)
}

async function packageFolders(nodeModules: string): Promise<string[]> {
  const names = (await readdir(nodeModules)).filter((name) => !name.startsWith('.'))
  const nested = names.map(async (name) =>
    name.startsWith('@') ? (await readdir(join(nodeModules, name))).map((inner) => join(name, inner)) : [name],
  )
  return (await Promise.all(nested)).flat()
}

async function noticeOf(folder: string): Promise<string> {
  const { name, version, license } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
  const files = (await readdir(folder, { withFileTypes: true })).filter(
    (file) => file.isFile() && LICENCE.test(file.name),
  )
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file.name), 'utf8')))
  return [`${String(name)} ${String(version)} (${JSON.stringify(license)})`, ...texts.map((text) => text.trim())].join(
    '\n\n',
  )
}
