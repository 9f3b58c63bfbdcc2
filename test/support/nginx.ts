/** A real nginx for tests, with the very configuration that `docs/reverse-proxy.md` gives administrators. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Agent } from 'undici'
import { adapt, documentedBlock } from './documented.ts'
import { makeCertificate } from './certificate.ts'
import { startProgram, untilReady } from './processes.ts'
import { temporaryFolder } from './folder.ts'
import { freePort, requireService } from './services.ts'

export interface NginxOptions {
  /** What stands behind it on 127.0.0.1. */
  readonly cellariumPort: number
  readonly homeserverPort: number
  /** What stands after the colon in users' names. */
  readonly serverName: string
  /** The datastore whose files it sends (`offload: nginx:/internal/`), if any. */
  readonly mediaFolder?: string
}

export interface Nginx extends AsyncDisposable {
  /** Base URL for clients, https, and of the federation's port. */
  readonly url: string
  readonly federationUrl: string
  /** Trusts the certificate, for undici's `fetch` and `request`; closed with the server. */
  readonly agent: Agent
  /** PEM text, for connections made otherwise. */
  readonly certificate: string
  /** What its error log says. */
  readonly lines: readonly string[]
}

/** Starts nginx and waits until it listens. Needs `describeWith(['nginx', 'openssl'], …)`. */
export async function startNginx(options: NginxOptions): Promise<Nginx> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const ports = { client: await freePort(), federation: await freePort() }
  const certificate = await makeCertificate(folder)
  await mkdir(join(folder, 'logs'))
  await writeFile(join(folder, 'matrix.conf'), await configuration(folder, ports, options))
  await writeFile(join(folder, 'nginx.conf'), mainConfiguration(folder))
  const nginx = cleanup.use(
    await startProgram({
      command: [requireService('nginx'), '-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr'],
      folder,
    }),
  )
  const agent = new Agent({ connect: { ca: certificate } })
  cleanup.defer(() => agent.destroy())
  const url = `https://127.0.0.1:${ports.client}`
  // Any answer will do; what stands behind it may not have started yet.
  await untilReady(nginx, async () => (await agent.request({ origin: url, path: '/', method: 'HEAD' })).statusCode > 0)
  const owned = cleanup.move()
  return {
    url,
    federationUrl: `https://127.0.0.1:${ports.federation}`,
    agent,
    certificate,
    lines: nginx.lines,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Puts in what an administrator puts in: names, ports, the certificate, and the media if nginx sends them. */
async function configuration(
  folder: string,
  ports: { client: number; federation: number },
  options: NginxOptions,
): Promise<string> {
  const text = adapt(await documentedBlock('nginx'), [
    [/listen 443 ssl;/, `listen 127.0.0.1:${ports.client} ssl;`],
    [/listen 8448 ssl;/, `listen 127.0.0.1:${ports.federation} ssl;`],
    [/server 127\.0\.0\.1:8000;/, `server 127.0.0.1:${options.cellariumPort};`],
    [/server 127\.0\.0\.1:8008;/, `server 127.0.0.1:${options.homeserverPort};`],
    [/X-Forwarded-Host example\.org;/, `X-Forwarded-Host ${options.serverName};`],
    [/ssl_certificate .*;/, `ssl_certificate ${join(folder, 'certificate.pem')};`],
    [/ssl_certificate_key .*;/, `ssl_certificate_key ${join(folder, 'key.pem')};`],
  ])
  if (options.mediaFolder === undefined) return text
  const offload = adapt(await documentedBlock('nginx', 'offload'), [[/alias .*;/, `alias "${options.mediaFolder}/";`]])
  return adapt(text, [[/^ {4}location \/ \{/m, `${offload}\n    location / {`]])
}

/** What Debian's nginx.conf has around conf.d, with all files in our folder. */
function mainConfiguration(folder: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${join(folder, 'nginx.pid')};
error_log stderr warn;
events { worker_connections 512; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${join(folder, name)};`).join('\n  ')}
  include ${join(folder, 'matrix.conf')};
}
`
}
