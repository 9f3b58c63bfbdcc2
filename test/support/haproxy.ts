/** A real HAProxy for tests, with the configuration of `docs/deploy/haproxy.cfg`, without TLS. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { adapt } from './documented.ts'
import { temporaryFolder } from './folder.ts'
import { type PlainProxy, type ProxyOptions, ready } from './plain-proxy.ts'
import { startProgram } from './processes.ts'
import { freePort, requireService } from './services.ts'

/** Starts HAProxy and waits until it answers. Needs `describeWith('haproxy', …)`. */
export async function startHaproxy(options: ProxyOptions): Promise<PlainProxy> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const port = await freePort()
  const file = join(folder, 'haproxy.cfg')
  const documented = await readFile(new URL('../../docs/deploy/haproxy.cfg', import.meta.url), 'utf8')
  const text = adapt(documented, [
    [/bind :443 .*/, `bind 127.0.0.1:${port}`],
    [/^ *bind :8448 .*$/m, ''],
    [/127\.0\.0\.1:8000/, `127.0.0.1:${options.cellariumPort}`],
    [/127\.0\.0\.1:8008/, `127.0.0.1:${options.homeserverPort}`],
    [/X-Forwarded-Host example\.org/, `X-Forwarded-Host ${options.serverName}`],
  ])
  await writeFile(file, text)
  // In the foreground, and one process: -db.
  const haproxy = cleanup.use(await startProgram({ command: [requireService('haproxy'), '-db', '-f', file], folder }))
  return await ready(haproxy, port, cleanup.move())
}
