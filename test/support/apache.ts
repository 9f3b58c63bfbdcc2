/** A real Apache for tests, with the configuration of `docs/reverse-proxy.md`, without TLS. */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { adapt, documentedBlock } from './documented.ts'
import { temporaryFolder } from './folder.ts'
import { type PlainProxy, type ProxyOptions, ready } from './plain-proxy.ts'
import { startProgram } from './processes.ts'
import { freePort, requireService } from './services.ts'

/** Where Debian's packages put the modules. */
const MODULES = '/usr/lib/apache2/modules'

/** Starts Apache and waits until it answers. Needs `describeWith('apache2', …)`. */
export async function startApache(options: ProxyOptions): Promise<PlainProxy> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const port = await freePort()
  const file = join(folder, 'apache2.conf')
  await chmod(folder, 0o750)
  await mkdir(join(folder, 'run'))
  await writeFile(file, mainConfiguration(folder, port) + (await configuration(port, options)))
  const apache = cleanup.use(
    await startProgram({ command: [requireService('apache2'), '-f', file, '-DFOREGROUND'], folder }),
  )
  return await ready(apache, port, cleanup.move())
}

/** What Debian's apache2.conf and its enabled modules come to. Started by root, it reads the media by its group, as documented. */
function mainConfiguration(folder: string, port: number): string {
  const modules = ['mpm_event', 'authz_core', 'proxy', 'proxy_http', 'headers', 'xsendfile']
  return `
ServerRoot ${folder}
ServerName localhost
PidFile ${join(folder, 'run', 'apache2.pid')}
DefaultRuntimeDir ${join(folder, 'run')}
ErrorLog ${join(folder, 'error.log')}
Listen 127.0.0.1:${port}
${process.getuid?.() === 0 ? 'User www-data\nGroup root' : ''}
ServerLimit 2
ThreadsPerChild 25
MaxRequestWorkers 50
${modules.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join('\n')}
`
}

async function configuration(port: number, options: ProxyOptions): Promise<string> {
  const text = (await documentedBlock('apache')).replaceAll('127.0.0.1:8000', `127.0.0.1:${options.cellariumPort}`)
  const adapted = adapt(text, [
    [/<VirtualHost \*:443>/, `<VirtualHost 127.0.0.1:${port}>`],
    [/^ +SSLEngine .*\n +SSLCertificateFile .*\n +SSLCertificateKeyFile .*\n/m, ''],
    [/127\.0\.0\.1:8008/, `127.0.0.1:${options.homeserverPort}`],
    [/X-Forwarded-Host example\.org/, `X-Forwarded-Host ${options.serverName}`],
  ])
  if (options.mediaFolder === undefined) return adapted
  const offload = adapt(await documentedBlock('apache', 'offload'), [
    [/XSendFilePath .*/, `XSendFilePath "${options.mediaFolder}"`],
  ])
  return adapt(adapted, [[/^<\/VirtualHost>/m, `${offload}</VirtualHost>`]])
}
