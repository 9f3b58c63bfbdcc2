import { startTracing } from './lib/telemetry-tracing.ts'
import { VERSION } from './lib/version.ts'

/** The process: tracing first, because it has to be there before what it watches is loaded; then the command line. */
export async function main(argv: readonly string[]): Promise<void> {
  await using ending = new AsyncDisposableStack()
  ending.use(await startTracing(process.env, { version: VERSION }))
  const { run } = await import('./cli/program.ts')
  await run(argv)
}
