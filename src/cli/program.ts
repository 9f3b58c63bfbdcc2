import { Command } from 'commander'
import { ConfigError } from '../lib/errors.ts'
import { VERSION } from '../lib/version.ts'

import { configCommand } from './config.ts'
import { serveCommand } from './serve.ts'

const WRONG_CONFIGURATION = 2

/** Runs the command that `argv` names. A configuration that cannot be used ends with status 2, whatever the command. */
export async function run(argv: readonly string[]): Promise<void> {
  const program = new Command('cellarium')
    .description('A Matrix media repository.')
    .version(VERSION)
    .addCommand(serveCommand(), { isDefault: true })
    .addCommand(configCommand())

  try {
    await program.parseAsync(argv)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const problem of error.problems) console.error(problem)
    process.exitCode = WRONG_CONFIGURATION
  }
}
