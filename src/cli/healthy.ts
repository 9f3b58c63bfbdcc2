import { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import type { MainConfig } from '../config/schema.ts'
import { messagesOf } from '../lib/errors.ts'
import { configSource, type SourceOptions } from './config-source.ts'

interface Flags extends SourceOptions {
  readonly timeout: string
}

const UNHEALTHY = 1
const OK = 200

/** `cellarium healthy`: asks the server of this machine's configuration how it is, for containers and supervisors. */
export function healthyCommand(): Command {
  return new Command('healthy')
    .description('ask the running server how it is; exit status 1 when it cannot work')
    .option('-c, --config <path>', 'configuration file, or folder of files (else REPO_CONFIG)')
    .option('-d, --data <folder>', "folder of the server's own files (else CELLARIUM_DATA)")
    .option('--timeout <seconds>', 'how long it may take to answer', '5')
    .action(async ({ timeout, ...options }: Flags) => {
      const { main } = await loadConfig(configSource(options, process.env))
      await ask(addressOf(main), Number(timeout) * 1000)
    })
}

async function ask(url: string, timeoutMs: number): Promise<void> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })
    console.log(await answer.text())
    if (answer.status !== OK) process.exitCode = UNHEALTHY
  } catch (error) {
    console.error(`${url}: ${messagesOf(error).join(': ')}`)
    process.exitCode = UNHEALTHY
  }
}

/** A server that listens on all addresses listens on this machine's own. */
function addressOf({ repo: { bindAddress, port } }: MainConfig): string {
  const everywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '[::1]' }
  const host = everywhere[bindAddress] ?? (bindAddress.includes(':') ? `[${bindAddress}]` : bindAddress)
  return `http://${host}:${port}/healthz`
}
