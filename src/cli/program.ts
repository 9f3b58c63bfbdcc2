import { Command } from 'commander'
import { VERSION } from '../lib/version.ts'
import { reportUnusable } from './config-source.ts'

type LoadCommand = () => Promise<Command>

/** Every command, in a file of its own that is loaded when it is wanted: a server has no use for what the others need. */
const serve: LoadCommand = async () => (await import('./serve.ts')).serveCommand()
const commands: Readonly<Record<string, LoadCommand>> = {
  serve,
  audit: async () => (await import('./audit.ts')).auditCommand(),
  backup: async () => (await import('./backup.ts')).backupCommand(),
  config: async () => (await import('./config.ts')).configCommand(),
  datastores: async () => (await import('./datastores.ts')).datastoresCommand(),
  export: async () => (await import('./export.ts')).exportCommands(),
  healthy: async () => (await import('./healthy.ts')).healthyCommand(),
  import: async () => (await import('./import.ts')).importCommands(),
  keys: async () => (await import('./keys.ts')).keysCommand(),
  restore: async () => (await import('./restore.ts')).restoreCommand(),
  retention: async () => (await import('./retention.ts')).retentionCommand(),
  tasks: async () => (await import('./tasks.ts')).tasksCommand(),
  thumbnail: async () => (await import('./thumbnail.ts')).thumbnailCommand(),
}

/**
 * Tools that MMR's users know by name; the help does not list them. A new one is a line here: `node scripts/generate-tools.ts`
 * then makes its program in `bin/` and names it in `package.json`.
 */
const aliases: Readonly<Record<string, LoadCommand>> = {
  combine_signing_keys: async () => (await import('./keys-aliases.ts')).combineSigningKeysCommand(),
  export_dendrite_for_import: async () => (await import('./export-for-import.ts')).exportDendriteForImportCommand(),
  export_synapse_for_import: async () => (await import('./export-for-import.ts')).exportSynapseForImportCommand(),
  generate_signing_key: async () => (await import('./keys-aliases.ts')).generateSigningKeyCommand(),
  import_dendrite: async () => (await import('./import-aliases.ts')).importDendriteCommand(),
  import_synapse: async () => (await import('./import-aliases.ts')).importSynapseCommand(),
  import_to_synapse: async () => (await import('./import-to-synapse.ts')).importToSynapseCommand(),
  media_repo: async () => (await import('./media-repo.ts')).mediaRepoCommand(),
  s3_consistency_check: async () => (await import('./s3-consistency-check.ts')).s3ConsistencyCheckCommand(),
  thumbnailer: async () => (await import('./thumbnailer.ts')).thumbnailerCommand(),
}

/** The names of those tools. */
export const toolNames: readonly string[] = Object.keys(aliases)

/** Runs the command that `argv` names. A configuration that cannot be used ends with status 2, whatever the command. */
export async function run(argv: readonly string[]): Promise<void> {
  const program = await programFor(argv.slice(2))
  try {
    await program.parseAsync(argv)
  } catch (error) {
    reportUnusable(error)
  }
}

/** The program with the command that these arguments name, or with all of them. */
export async function programFor(args: readonly string[]): Promise<Command> {
  const program = new Command('cellarium').description('A Matrix media repository.').version(VERSION)
  for (const load of wanted(args)) {
    const command = await load()
    program.addCommand(command, { isDefault: command.name() === 'serve' })
  }
  return program
}

/** The command that is named; all of them where the help may be asked for. */
function wanted(args: readonly string[]): readonly LoadCommand[] {
  const [first] = args
  if (first === undefined) return [serve]
  const named = commands[first] ?? aliases[first]
  return named ? [named] : Object.values(commands)
}
