import { Command } from 'commander'
import { configJsonSchema } from '../config/json-schema.ts'
import type { WithoutEffect } from '../config/keys.ts'
import { loadConfig } from '../config/load.ts'
import { printConfig } from '../config/print.ts'
import { sampleConfig } from '../config/sample.ts'
import type { HomeserverConfig } from '../config/schema.ts'
import type { Snapshot } from '../config/snapshot.ts'
import { KeyFileError, readKeyFile } from '../matrix/keys/key-files.ts'
import { configSource, reportUnusable, type SourceOptions } from './config-source.ts'

/** `cellarium config check | print | schema | sample`. */
export function configCommand(): Command {
  const command = new Command('config').description('check and show the configuration')
  const withSource = (name: string, description: string) =>
    command
      .command(name)
      .description(description)
      .option('--config <path>', 'file or folder (else REPO_CONFIG, else the defaults)')
      .option('--data <path>', "folder of the server's own files (else CELLARIUM_DATA)")
  withSource('check', 'name every problem; exit status 2 when it cannot be used').action(
    async (options: SourceOptions) => {
      await withConfig(options, async (snapshot) => console.log((await checkReport(snapshot)).join('\n')))
    },
  )
  withSource('print', 'print what is in force, secrets masked').action(async (options: SourceOptions) => {
    await withConfig(options, (snapshot) => console.log(printConfig(snapshot).trimEnd()))
  })
  command
    .command('schema')
    .description('print a JSON Schema for editors')
    .action(() => console.log(JSON.stringify(configJsonSchema(), undefined, 2)))
  command
    .command('sample')
    .description('print a commented sample')
    .action(() => console.log(sampleConfig().trimEnd()))
  return command
}

async function withConfig(options: SourceOptions, use: (snapshot: Snapshot) => void | Promise<void>): Promise<void> {
  try {
    await use(await loadConfig(configSource(options, process.env)))
  } catch (error) {
    reportUnusable(error)
  }
}

async function checkReport(snapshot: Snapshot): Promise<string[]> {
  const { homeservers, datastores } = snapshot
  const keys = await Promise.all(homeservers.map(unusableKey))
  return [
    ...[...snapshot.warnings, ...keys.filter((problem) => problem !== undefined)].map((text) => `warning: ${text}`),
    ...withoutEffectLines(snapshot.withoutEffect).map((line) => `note: ${line}`),
    `The configuration can be used: ${count(homeservers.length, 'homeserver')}, ${count(datastores.length, 'datastore')}.`,
  ]
}

/** A server starts without its keys, and says so in its log. */
async function unusableKey({ name, signingKeyPath }: HomeserverConfig): Promise<string | undefined> {
  try {
    if (signingKeyPath !== '') await readKeyFile(signingKeyPath)
    return undefined
  } catch (error) {
    if (!(error instanceof KeyFileError)) throw error
    return `${name}: ${error.message}, so that authenticated media of other servers cannot be fetched`
  }
}

/** One line a section and reason; templates that write out every option would fill screens otherwise. */
function withoutEffectLines(found: readonly WithoutEffect[]): string[] {
  const groups = Map.groupBy(found, ({ place, path, reason }) => `${place.file}: ${path[0] ?? ''}: ${reason}`)
  return [...groups].map(([about, options]) => {
    const names = new Set(options.map(({ path }) => path.filter((step) => typeof step === 'string').join('.')))
    return `${about}: ${[...names].join(', ')}`
  })
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}
