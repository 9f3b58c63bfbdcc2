import type { ClientConfig } from 'pg'
import { parse, toClientConfig } from 'pg-connection-string'
import { ConfigError } from '../lib/errors.ts'

/**
 * Reads a PostgreSQL address as libpq does: a URL, or `key=value` pairs. As there, `sslmode=require` encrypts without
 * verifying; `verify-ca` and `verify-full` verify. Unlike there, `prefer` means `require` and `allow` means `disable`: there
 * is no second attempt. An address that cannot be used is a `ConfigError`. Source: PostgreSQL documentation, "Connection
 * Strings".
 */
export function parseDsn(dsn: string): ClientConfig {
  try {
    return /^postgres(ql)?:\/\//.test(dsn) ? fromUrl(dsn) : fromPairs(dsn)
  } catch (error) {
    // The cause may hold the address with its password.
    throw new ConfigError([`database.postgres: ${(error as Error).message}`])
  }
}

function fromUrl(dsn: string): ClientConfig {
  const config = withSsl(dsn)
  // The library leaves some of the characters that libpq decodes.
  const name = /^\w+:\/\/[^/?#]*\/([^?#]+)/.exec(dsn)?.[1]
  return name === undefined ? config : { ...config, database: decodeURIComponent(name) }
}

function fromPairs(dsn: string): ClientConfig {
  const { host, hostaddr, port, dbname, user, password, ...others } = Object.fromEntries(pairs(dsn))
  const config = withSsl(`postgres://localhost?${String(new URLSearchParams(others))}`)
  const address = hostaddr || host
  return {
    ...config,
    ...(address ? { host: address } : {}),
    ...(port ? { port: portOf(port) } : {}),
    ...(dbname ? { database: dbname } : {}),
    ...(user ? { user } : {}),
    ...(password ? { password } : {}),
  }
}

const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']

function withSsl(url: string): ClientConfig {
  const parsed = parse(url, { useLibpqCompat: true })
  const { sslmode } = parsed as { sslmode?: string }
  if (sslmode !== undefined && !SSL_MODES.includes(sslmode)) {
    throw new Error(`sslmode=${sslmode} is not one of ${SSL_MODES.join(', ')}`)
  }
  const config = toClientConfig(parsed)
  return sslmode === 'allow' ? { ...config, ssl: false } : config
}

function portOf(text: string): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) throw new Error(`port=${text} is no port`)
  return port
}

/** `a=1 b='two words' c='it\'s'`, with blanks allowed around the equals sign. */
function pairs(dsn: string): [string, string][] {
  const pattern = /\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?:\s+|$)/sy
  const found: [string, string][] = []
  do {
    const match = pattern.exec(dsn)
    if (!match?.[1]) {
      throw new Error('is neither a URL (postgres://user:password@host/database) nor key=value pairs (host=… dbname=…)')
    }
    found.push([match[1], (match[2] ?? match[3] ?? '').replaceAll(/\\(.)/gs, '$1')])
  } while (pattern.lastIndex < dsn.length)
  return found
}
