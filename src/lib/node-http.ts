import { createRequire } from 'node:module'
import type * as Http from 'node:http'
import type * as Https from 'node:https'

const require = createRequire(import.meta.url)

/**
 * Node's HTTP. `import` would read every export of it, and with them load all of `fetch` and WebSocket, which the server does
 * not need: some MiB.
 */
export const http = require('node:http') as typeof Http
export const https = require('node:https') as typeof Https
