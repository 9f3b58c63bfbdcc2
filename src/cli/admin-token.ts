import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError } from '../lib/errors.ts'

/**
 * The shared-secret administrator's token of a server without configuration, kept in `<dataPath>/admin-token` for its owner
 * alone. Made at the first start.
 */
export async function adminToken(dataPath: string): Promise<string> {
  const path = join(dataPath, 'admin-token')
  try {
    await mkdir(dataPath, { recursive: true, mode: 0o700 })
    await writeFile(path, `${randomBytes(32).toString('base64url')}\n`, { flag: 'wx', mode: 0o600, flush: true })
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw new ConfigError([`cannot keep the admin token in ${path}: ${String(cause)}`], { cause })
    }
  }
  const token = (await readFile(path, 'utf8')).trim()
  if (token === '') throw new ConfigError([`${path} is empty: delete it, and the next start makes a new token`])
  return token
}
