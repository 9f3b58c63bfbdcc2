/** A real nginx for tests, with the very configuration that `docs/reverse-proxy.md` gives administrators. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Agent } from 'undici'
import type { Certificate } from './authority.ts'
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
  /** What `docs/synapse-admin-api.md` adds to it. */
  readonly adminApi?: true
  /** Where other homeservers come; a free port, if not given. */
  readonly federationPort?: number
  /** With the names that it has for others; without it, one for 127.0.0.1 that nobody has signed. */
  readonly certificate?: Certificate & { readonly authority: string }
}

export interface Nginx extends AsyncDisposable {
  /** Base URL for clients, https, and of the federation's port. */
  readonly url: string
  readonly federationUrl: string
  /** Trusts the certificate, for undici's `fetch` and `request`; closed with the server. */
  readonly agent: Agent
  /** What to trust, as PEM text, for connections made otherwise. */
  readonly certificate: string
  /** What its error log says. */
  readonly lines: readonly string[]
  /** What was asked of it and how it ended, as `GET /path?query 200`; a line is there a moment after its answer. */
  readonly asked: () => Promise<readonly string[]>
}

/** Starts nginx and waits until it listens. Needs `describeWith(['nginx', 'openssl'], …)`. */
export async function startNginx(options: NginxOptions): Promise<Nginx> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const ports = { client: await freePort(), federation: options.federationPort ?? (await freePort()) }
  const certificate = await certify(folder, options.certificate)
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
    asked: async () => (await readFile(join(folder, 'access.log'), 'utf8')).split('\n').slice(0, -1),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** Puts the certificate where the configuration has it; gives the PEM text of what its callers have to trust. */
async function certify(folder: string, given: NginxOptions['certificate']): Promise<string> {
  if (!given) return await makeCertificate(folder)
  await writeFile(join(folder, 'key.pem'), given.key)
  await writeFile(join(folder, 'certificate.pem'), given.cert)
  return given.authority
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
  const whole = options.adminApi ? await withAdminApi(text) : text
  if (options.mediaFolder === undefined) return whole
  const offload = adapt(await documentedBlock('nginx', 'offload'), [[/alias .*;/, `alias "${options.mediaFolder}/";`]])
  return before(whole, offload)
}

const withAdminApi = async (text: string) =>
  before(text, await documentedBlock('nginx', 'whole', 'synapse-admin-api.md'))

const before = (text: string, block: string) => adapt(text, [[/^ {4}location \/ \{/m, `${block}\n    location / {`]])

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
  log_format asked '$request_method $request_uri $status';
  access_log ${join(folder, 'access.log')} asked;
  ${temporary.map((name) => `${name}_temp_path ${join(folder, name)};`).join('\n  ')}
  include ${join(folder, 'matrix.conf')};
}
`
}
