import { readFile } from 'node:fs/promises'
import type { ConnectionOptions } from 'node:tls'
import { isIP } from 'node:net'
import type { MainConfig } from '../../config/schema.ts'
import { ConfigError } from '../../lib/errors.ts'
import type { RedisTarget } from './client.ts'

export type RedisConfig = MainConfig['redis']

const USUAL_PORT = 6379

/**
 * The servers that the configuration names; none while `redis.enabled` is false.
 *
 * @throws {ConfigError} when the file of `redis.tls.caPath` cannot be read
 */
export async function targetsOf(config: RedisConfig): Promise<readonly RedisTarget[]> {
  if (!config.enabled) return []
  const { username, password, databaseNumber } = config
  const ca = config.tls.enabled && config.tls.caPath !== '' ? await readAuthority(config.tls.caPath) : undefined
  return config.shards.map(({ name, addr }) => {
    const { host, port } = splitAddress(addr)
    const tls = config.tls.enabled ? tlsOptions(host, ca) : undefined
    return { name: name || addr, host, port, username, password, databaseNumber, tls }
  })
}

async function readAuthority(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new ConfigError([`redis.tls.caPath: ${path} cannot be read: ${(cause as Error).message}`], { cause })
  }
}

function tlsOptions(host: string, ca: string | undefined): ConnectionOptions {
  return { ...(isIP(host) === 0 ? { servername: host } : {}), ...(ca === undefined ? {} : { ca }) }
}

/** `host:port`, `[::1]:port`, `host`, and `:port` for this machine, as MMR takes it. */
function splitAddress(addr: string): { readonly host: string; readonly port: number } {
  const [, host = '', port] = /^(.*?)(?::(\d+))?$/.exec(addr) ?? []
  return { host: host.replace(/^\[(.*)\]$/, '$1') || 'localhost', port: port === undefined ? USUAL_PORT : Number(port) }
}
