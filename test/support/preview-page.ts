/** A page with a picture, for whoever previews it. */
import { once } from 'node:events'
import { createServer } from 'node:http'

export async function startPage(
  port: number,
  picture: Uint8Array,
): Promise<{ readonly port: number } & AsyncDisposable> {
  const html = '<html><head><title>A page</title><meta property="og:image" content="/picture.png"></head></html>'
  const server = createServer((request, response) => {
    const isPicture = request.url?.endsWith('.png') ?? false
    response.setHeader('content-type', isPicture ? 'image/png' : 'text/html')
    response.end(isPicture ? picture : html)
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
