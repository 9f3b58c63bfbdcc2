import { ConfigError } from '../lib/errors.ts'
import type { Offload } from './datastore.ts'

/** The header for an object: its location in the datastore, and the full path of its file. */
export type MakeOffload = (file: { readonly location: string; readonly path: string }) => Offload

const NGINX = /^nginx:(?<prefix>\/(?:.*\/)?)$/

/**
 * What the option `offload` says: `nginx:/internal/` for `X-Accel-Redirect: /internal/LOCATION`, percent-encoded, as nginx
 * wants it; `sendfile` for `X-Sendfile: PATH`, the path's own bytes: mod_xsendfile opens what it is told. Undefined when the
 * option is empty.
 *
 * @throws ConfigError when it says anything else
 */
export function parseOffload(option: string | undefined, datastore: string): MakeOffload | undefined {
  if (!option) return undefined
  if (option === 'sendfile') return ({ path }) => ({ header: 'X-Sendfile', value: asBytes(path) })
  const prefix = NGINX.exec(option)?.groups?.['prefix']
  if (prefix !== undefined) {
    return ({ location }) => ({ header: 'X-Accel-Redirect', value: prefix + encoded(location) })
  }
  throw new ConfigError([
    `datastore ${datastore}: opts.offload is ${JSON.stringify(option)}; it must be sendfile or nginx:/…/, a path that begins and ends with /`,
  ])
}

/** Node writes each character of a header as one byte. */
function asBytes(path: string): string {
  return Buffer.from(path).toString('latin1')
}

function encoded(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}
