/** What the proxies of the tests have in common that answer without TLS. */
import { Agent } from 'undici'
import { type Program, untilReady } from './processes.ts'

export interface ProxyOptions {
  /** What stands behind it on 127.0.0.1. */
  readonly cellariumPort: number
  readonly homeserverPort: number
  /** What stands after the colon in users' names. */
  readonly serverName: string
  /** The datastore whose files it sends, if any. */
  readonly mediaFolder?: string
}

export interface PlainProxy extends AsyncDisposable {
  /** Base URL for clients. */
  readonly url: string
  /** For requests through it; closed with the proxy. */
  readonly agent: Agent
  /** What it printed. */
  readonly lines: readonly string[]
}

/** Waits until the proxy answers; what was started for it ends with it. */
export async function ready(program: Program, port: number, owned: AsyncDisposableStack): Promise<PlainProxy> {
  await using cleanup = owned
  const url = `http://127.0.0.1:${port}`
  const agent = new Agent()
  cleanup.defer(() => agent.destroy())
  await untilReady(program, async () => {
    const { statusCode, body } = await agent.request({ origin: url, path: '/', method: 'HEAD' })
    await body.dump()
    return statusCode > 0
  })
  const parts = cleanup.move()
  return { url, agent, lines: program.lines, [Symbol.asyncDispose]: () => parts.disposeAsync() }
}
