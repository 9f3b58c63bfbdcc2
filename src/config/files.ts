import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../lib/errors.ts'

export interface ConfigText {
  readonly file: string
  readonly text: string
}

/**
 * The files of a configuration in the order in which they are laid over each other: the file itself, or all files of the
 * folder (any ending, not those of its subfolders) by the bytes of their names, as MMR does. What is plainly no configuration is
 * left out (`isConfiguration`). Throws ConfigError when there are none.
 */
export async function configFiles(path: string): Promise<string[]> {
  const entry = await stat(path).catch((error: unknown) => {
    throw new ConfigError([`${path}: ${fileTrouble(error)}; name a file or a folder with --config or REPO_CONFIG`])
  })
  if (!entry.isDirectory()) return [path]
  const names = (await readdir(path)).filter(isConfiguration)
  const files = await Promise.all(names.map((name) => regularFile(join(path, name))))
  const found = files.filter((file) => file !== undefined).sort(byBytes)
  if (found.length === 0) throw new ConfigError([`${path}: is a folder without a configuration file in it`])
  return found
}

/**
 * Not what editors leave while a file is open (`.a.yaml.swp`, the dangling link `.#a.yaml`) or afterwards: `a.yaml~` would win over `a.yaml`. Not
 * Kubernetes' own links (`..data`), by which files would be read twice. Not signing keys, which often lie beside.
 */
function isConfiguration(name: string): boolean {
  return !name.startsWith('.') && !name.endsWith('~') && !name.endsWith('.key')
}

/** One of these files, as text. Throws ConfigError when it cannot be read. */
export async function readConfigFile(file: string): Promise<ConfigText> {
  try {
    return { file, text: await readFile(file, 'utf8') }
  } catch (error) {
    throw new ConfigError([`${file}: ${fileTrouble(error)}`])
  }
}

async function regularFile(file: string): Promise<string | undefined> {
  const entry = await stat(file).catch((error: unknown) => {
    throw new ConfigError([`${file}: ${fileTrouble(error)}`])
  })
  return entry.isFile() ? file : undefined
}

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other))
}

/** Why a file that was named cannot be used: the end of a sentence that begins with its name. */
export function fileTrouble(error: unknown): string {
  if (!(error instanceof Error)) return 'cannot be read'
  const code = 'code' in error ? String(error.code) : error.message
  return code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`
}
