import type { ClientConfig } from 'pg'
import { parse, toClientConfig } from 'pg-connection-string'
import { ConfigError } from '../lib/errors.ts'

const KEYS: Readonly<Record<string, string>> = { dbname: 'database', user: 'user', password: 'password' }

/**
 * Reads a PostgreSQL address as libpq does: a URL, or `key=value` pairs. As there, `sslmode=require` encrypts without
 * verifying; `verify-ca` and `verify-full` verify. Source: PostgreSQL documentation, "Connection Strings".
 */
export function parseDsn(dsn: string): ClientConfig {
  const url = /^postgres(ql)?:\/\//.test(dsn) ? dsn : urlFromPairs(dsn)
  return toClientConfig(parse(url, { useLibpqCompat: true }))
}

function urlFromPairs(dsn: string): string {
  const url = new URL('postgres://localhost')
  for (const [key, value] of pairs(dsn)) {
    if (key === 'host' || key === 'hostaddr') url.searchParams.set('host', value)
    else if (key === 'port') url.port = value
    else if (KEYS[key] === 'database') url.pathname = `/${encodeURIComponent(value)}`
    else if (KEYS[key] === 'user') url.username = encodeURIComponent(value)
    else if (KEYS[key] === 'password') url.password = encodeURIComponent(value)
    else url.searchParams.set(key, value)
  }
  return url.href
}

/** `a=1 b='two words' c='it\'s'`, with blanks allowed around the equals sign. */
function pairs(dsn: string): [string, string][] {
  const pattern = /\s*(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)/y
  const found: [string, string][] = []
  const text = dsn.trim()
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text)
    if (!match?.[1]) {
      throw new ConfigError([
        'database.postgres is neither a URL (postgres://user:password@host/database) nor key=value pairs (host=… dbname=…)',
      ])
    }
    found.push([match[1], (match[2] ?? match[3] ?? '').replaceAll(/\\(.)/g, '$1')])
  }
  return found
}
