/** ClamAV's daemon with one signature, of the EICAR test file: no virus definitions are needed, nor can any be downloaded. */
import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { scan } from '../../src/media/gates/clamd-scan.ts'
import { temporaryFolder } from './folder.ts'
import { startProgram, untilReady } from './processes.ts'
import { requireService } from './services.ts'

/** Harmless; what scanners agreed to find. In two pieces, so that none finds this file. Source: EICAR. */
export const EICAR = Buffer.from(['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR', 'STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'].join('-'))

export interface Clamd extends AsyncDisposable {
  /** The path of its socket. */
  readonly address: string
  /** Stops and goes on, with SIGSTOP and SIGCONT. */
  readonly signal: (name: NodeJS.Signals) => void
  readonly stop: () => Promise<unknown>
}

/** Needs `describeWith('clamd', …)`. */
export async function startClamd({ streamMaxLength = '4M' } = {}): Promise<Clamd> {
  await using cleanup = new AsyncDisposableStack()
  const { path: folder } = cleanup.use(await temporaryFolder())
  const signatures = join(folder, 'signatures')
  await mkdir(signatures)
  const md5 = createHash('md5').update(EICAR).digest('hex')
  await writeFile(join(signatures, 'own.hdb'), `${md5}:${EICAR.length}:Eicar-Test-Signature\n`)
  const address = join(folder, 'clamd.sock')
  const settings = {
    LocalSocket: address,
    DatabaseDirectory: signatures,
    TemporaryDirectory: folder,
    Foreground: 'yes',
    StreamMaxLength: streamMaxLength,
    MaxThreads: '4',
    ExitOnOOM: 'yes',
  }
  const configFile = join(folder, 'clamd.conf')
  await writeFile(
    configFile,
    Object.entries(settings)
      .map((pair) => `${pair.join(' ')}\n`)
      .join(''),
  )
  const program = cleanup.use(
    await startProgram({ command: [requireService('clamd'), `--config-file=${configFile}`], folder }),
  )
  const harmless = join(folder, 'harmless')
  await writeFile(harmless, 'nothing')
  const ready = { address, timeoutMs: 5000, signal: new AbortController().signal }
  await untilReady(program, async () => (await scan(harmless, ready)).outcome === 'clean', 30_000)
  const owned = cleanup.move()
  return {
    address,
    signal: (name) => program.signal(name),
    stop: () => program.stop(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
