/** A real Caddy for tests, with the configuration of `docs/reverse-proxy.md`, without TLS. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { adapt, documentedBlock } from './documented.ts'
import { temporaryFolder } from './folder.ts'
import { type PlainProxy, type ProxyOptions, ready } from './plain-proxy.ts'
import { startProgram } from './processes.ts'
import { freePort, requireService } from './services.ts'

/** Starts Caddy and waits until it answers. Needs `describeWith('caddy', …)`. */
export async function startCaddy(options: ProxyOptions): Promise<PlainProxy> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const port = await freePort()
  const file = join(folder, 'Caddyfile')
  await writeFile(
    file,
    `{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}\n\n${await configuration(port, options)}`,
  )
  const caddy = cleanup.use(
    await startProgram({
      command: [requireService('caddy'), 'run', '--config', file, '--adapter', 'caddyfile'],
      environment: { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder },
      folder,
    }),
  )
  return await ready(caddy, port, cleanup.move())
}

async function configuration(port: number, options: ProxyOptions): Promise<string> {
  const whole = await documentedBlock('caddyfile')
  const text =
    options.mediaFolder === undefined
      ? whole
      : adapt(whole, [
          [
            /^\t\treverse_proxy 127\.0\.0\.1:8000 \{.*?^\t\t\}\n/ms,
            adapt(await documentedBlock('caddyfile', 'offload'), [[/root \* .*/, `root * "${options.mediaFolder}"`]]),
          ],
        ])
  return adapt(text, [
    [/^matrix\.example\.org, matrix\.example\.org:8448/m, `http://:${port}`],
    [/127\.0\.0\.1:8000/, `127.0.0.1:${options.cellariumPort}`],
    [/127\.0\.0\.1:8008/, `127.0.0.1:${options.homeserverPort}`],
    [/X-Forwarded-Host example\.org/, `X-Forwarded-Host ${options.serverName}`],
  ])
}
