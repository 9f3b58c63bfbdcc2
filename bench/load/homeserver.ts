/** A homeserver that knows everybody: answers `whoami`, as cheaply as can be. Prints its port. Arguments: the user id. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const [userId = '@bench:bench.example'] = process.argv.slice(2)
const identity = JSON.stringify({ user_id: userId, is_guest: false })

const server = createServer((request, response) => {
  const known = request.url?.startsWith('/_matrix/client/v3/account/whoami')
  response.writeHead(known ? 200 : 404, { 'Content-Type': 'application/json' })
  response.end(known ? identity : JSON.stringify({ errcode: 'M_UNRECOGNIZED', error: 'only whoami' }))
})
server.listen(0, '127.0.0.1', () => console.log(`port ${(server.address() as AddressInfo).port}`))
