/** A certificate for tests: TLS with real parts. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runProgram } from './processes.ts'
import { requireService } from './services.ts'

/** Self-signed, for 127.0.0.1, as `certificate.pem` and `key.pem` of a folder; gives its PEM text. Needs openssl. */
export async function makeCertificate(folder: string): Promise<string> {
  const file = join(folder, 'certificate.pem')
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const names = ['-subj', '/CN=matrix.example.org', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:matrix.example.org']
  const files = ['-keyout', join(folder, 'key.pem'), '-out', file]
  await runProgram({ command: [requireService('openssl'), 'req', '-x509', ...kind, ...names, ...files] })
  return readFile(file, 'utf8')
}
