/** nginx that serves a folder's files: what the machine can do at best. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findProgram, startProgram, untilReady } from '../../test/support/processes.ts'
import { freePort } from '../../test/support/services.ts'
import { pinned, SERVER_CORE } from '../cores.ts'

export interface FileServer extends AsyncDisposable {
  readonly url: string
  /** What is written there is served. */
  readonly root: string
}

/** Starts it on the server's core, with one worker and sendfile; its files lie below `folder`. */
export async function startNginx(folder: string): Promise<FileServer> {
  const program = findProgram('nginx') ?? findProgram('nginx', ['/usr/sbin', '/usr/local/sbin'])
  if (!program) throw new Error('nginx is missing (Debian: nginx-light)')
  const prefix = join(folder, 'nginx')
  const root = join(prefix, 'files')
  await mkdir(root, { recursive: true })
  const port = await freePort()
  await writeFile(join(prefix, 'nginx.conf'), configuration(prefix, port))
  const nginx = await startProgram({
    command: [...pinned(SERVER_CORE), program, '-p', prefix, '-c', join(prefix, 'nginx.conf'), '-e', 'stderr'],
    folder: prefix,
  })
  const url = `http://127.0.0.1:${port}`
  await untilReady(nginx, async () => (await fetch(url)).status > 0)
  return { url, root, [Symbol.asyncDispose]: () => nginx[Symbol.asyncDispose]() }
}

function configuration(prefix: string, port: number): string {
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
  server { listen 127.0.0.1:${port}; root ${join(prefix, 'files')}; }
}
`
}
