/** The command-line client synadm: a real program that speaks Synapse's admin API, asked as administrators ask it. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { runProgram } from './processes.ts'
import { requireService } from './services.ts'

export interface SynadmOptions {
  /** Where its configuration is written. */
  readonly folder: string
  /** Of the reverse proxy: it knows one address for everything. */
  readonly url: string
  readonly serverName: string
  /** An administrator's. */
  readonly user: string
  readonly token: string
}

/** Runs it with some arguments, and gives its answer. Rejects with what it printed if it does not end well. */
export type Synadm = (...words: readonly string[]) => Promise<unknown>

/** Needs `describeWith('synadm', …)`. */
export async function configureSynadm({ folder, url, serverName, user, token }: SynadmOptions): Promise<Synadm> {
  const path = join(folder, 'synadm.yaml')
  const names = { user, token, homeserver: serverName, server_discovery: 'well-known' }
  const paths = { base_url: url, admin_path: '/_synapse/admin', matrix_path: '/_matrix' }
  await writeFile(path, stringify({ ...names, ...paths, timeout: 60, ssl_verify: false, format: 'minified' }))
  return async (...words) => {
    const command = [requireService('synadm'), '--batch', '--output', 'minified', '--config-file', path, ...words]
    const printed = await runProgram({ command, environment: { PATH: process.env['PATH'], HOME: folder } })
    return answerIn(printed)
  }
}

/** The last line: before it may be warnings, such as that the certificate of a test is nobody's. */
function answerIn(printed: string): unknown {
  const line = printed.split('\n').findLast((one) => one.startsWith('{') || one.startsWith('['))
  if (line === undefined) throw new Error(`synadm printed no JSON: ${printed}`)
  return JSON.parse(line)
}
