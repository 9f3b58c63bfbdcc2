/** nginx that serves a folder's files, or passes another server's on: what the machine can do at best. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findProgram, startProgram, untilReady } from '../../test/support/processes.ts'
import { freePort } from '../../test/support/services.ts'
import { pinned, SERVER_CORE } from '../cores.ts'

export interface FileServer extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** What is written there is served. */
  readonly root: string
}

/** A server whose answers are passed on as they come. */
export interface PassedOn {
  readonly scheme: 'http' | 'https'
  readonly port: number
  /** Whether connections to it are used again. */
  readonly keepsConnections: boolean
}

/** Starts it on the server's core, with one worker and sendfile; its files lie below `folder`, or come from another server. */
export async function startNginx(folder: string, from?: PassedOn): Promise<FileServer> {
  const program = findProgram('nginx') ?? findProgram('nginx', ['/usr/sbin', '/usr/local/sbin'])
  if (!program) throw new Error('nginx is missing (Debian: nginx-light)')
  const prefix = join(folder, 'nginx')
  const root = join(prefix, 'files')
  await mkdir(root, { recursive: true })
  const port = await freePort()
  await writeFile(join(prefix, 'nginx.conf'), configuration(prefix, port, from))
  const nginx = await startProgram({
    command: [...pinned(SERVER_CORE), program, '-p', prefix, '-c', join(prefix, 'nginx.conf'), '-e', 'stderr'],
    folder: prefix,
  })
  const url = `http://127.0.0.1:${port}`
  await untilReady(nginx, async () => (await fetch(url)).status > 0)
  return { url, port, root, [Symbol.asyncDispose]: () => nginx[Symbol.asyncDispose]() }
}

function configuration(prefix: string, port: number, from: PassedOn | undefined): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `
${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${join(prefix, 'nginx.pid')};
error_log stderr crit;
events { worker_connections 512; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  default_type application/octet-stream;
  ${temporary.map((name) => `${name}_temp_path ${join(prefix, name)};`).join('\n  ')}
  ${from ? passesOn(from) : ''}
  server { listen 127.0.0.1:${port}; ${from ? `location / { proxy_pass ${from.scheme}://origin; }` : `root ${join(prefix, 'files')};`} }
}
`
}

function passesOn({ port, keepsConnections }: PassedOn): string {
  return `proxy_http_version 1.1;
  proxy_set_header Connection "${keepsConnections ? '' : 'close'}";
  proxy_buffering off;
  upstream origin { server 127.0.0.1:${port}; ${keepsConnections ? 'keepalive 8;' : ''} }`
}
