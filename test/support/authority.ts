/** A certificate authority for the length of a test, made by openssl. Needs `describeWith('openssl', …)`. */
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { temporaryFolder } from './folder.ts'
import { runProgram } from './processes.ts'
import { requireService } from './services.ts'

export interface Certificate {
  readonly cert: string
  readonly key: string
}

export interface Authority extends AsyncDisposable {
  /** Its own certificate, as PEM text and as a file. */
  readonly certificate: string
  readonly file: string
  /** A certificate for names and addresses; made once for each list. */
  issue(...names: readonly string[]): Promise<Certificate>
}

const KIND = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']

const openssl = (...args: readonly string[]) =>
  runProgram({ command: [requireService('openssl'), 'req', '-x509', ...KIND, ...args] })

export async function makeAuthority(): Promise<Authority> {
  await using cleanup = new AsyncDisposableStack()
  const folder = cleanup.use(await temporaryFolder()).path
  const [file, keyFile] = [join(folder, 'authority.pem'), join(folder, 'authority-key.pem')]
  await openssl('-subj', '/CN=Authority of a test', '-keyout', keyFile, '-out', file)
  const issued = new Map<string, Promise<Certificate>>()
  const issue = async (names: readonly string[]): Promise<Certificate> => {
    const base = join(folder, `certificate-${issued.size}`)
    const all = names.map((name) => `${isIP(name) > 0 ? 'IP' : 'DNS'}:${name}`).join(',')
    const to = ['-keyout', `${base}.key`, '-out', `${base}.pem`]
    const by = ['-CA', file, '-CAkey', keyFile]
    const forServers = ['-addext', `subjectAltName=${all}`, '-addext', 'basicConstraints=critical,CA:FALSE']
    await openssl('-subj', '/CN=test', ...by, ...forServers, ...to)
    return { cert: await readFile(`${base}.pem`, 'utf8'), key: await readFile(`${base}.key`, 'utf8') }
  }
  const certificate = await readFile(file, 'utf8')
  const owned = cleanup.move()
  return {
    certificate,
    file,
    issue: (...names) => {
      const key = names.join(' ')
      const known = issued.get(key) ?? issue(names)
      issued.set(key, known)
      return known
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
