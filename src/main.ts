/** The process: tracing first, because it has to be there before what it watches is loaded; then the command line. */
export async function main(argv: readonly string[]): Promise<void> {
  const { startTracing } = await import('./lib/telemetry-tracing.ts')
  await using _tracing = await startTracing(process.env)
  const { run } = await import('./cli/program.ts')
  await run(argv)
}
