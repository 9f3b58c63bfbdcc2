import { Command } from 'commander'
import type { LeftOut } from '../archives/part.ts'
import { LEFT_OUT_WORDS } from '../archives/index-page.ts'
import { isServerName, isUserId } from '../matrix/ids.ts'
import { ConfigError } from '../lib/errors.ts'
import { audited } from '../media/audit.ts'
import { count } from './amounts.ts'
import { fromGoFlags } from './go-flags.ts'
import { ProgressLine } from './progress-line.ts'
import { commandLine, withTools } from './tools.ts'

interface ExportFlags {
  readonly config?: string
  readonly data?: string
  readonly destination: string
  readonly s3Urls?: boolean
}

const FAILED = 1

/** `cellarium export user`, `cellarium export server`. */
export const archiveExportCommands = (): readonly Command[] => [
  exportCommand('user', '<user id>', 'export all that a user uploaded', isUserId),
  exportCommand('server', '<server name>', 'export all media of a server', isServerName),
]

function exportCommand(name: string, argument: string, description: string, isRight: (text: string) => boolean) {
  return new Command(name)
    .description(`${description}, into an archive that matrix-media-repo can read, too; again, to go on`)
    .argument(argument)
    .option('-c, --config <path>', 'configuration file, or folder of files (else REPO_CONFIG)')
    .option('-d, --data <folder>', "folder of the server's own files (else CELLARIUM_DATA)")
    .option('--destination <folder>', 'where to put the archive', './gdpr-data')
    .option('--no-s3-urls', 'do not say in the archive where buckets have the files')
    .action(async (entity: string, flags: ExportFlags) => {
      if (!isRight(entity)) throw new ConfigError([`${entity} is no ${argument.slice(1, -1)}`])
      await exportEntity(entity, flags)
    })
}

/** `gdpr_export` with MMR's flags. */
export function gdprExportCommand(): Command {
  const command: Command = new Command('gdpr_export')
    .description(
      'export the media of a user or a server (MMR’s name for `export user` and `export server`, with its flags)',
    )
    .option('--config <path>', 'file or folder (else REPO_CONFIG, else the defaults)')
    .option('--entity <id>', 'the user id or server name')
    .option('--destination <folder>', 'where to put the archive', './gdpr-data')
    .option('--migrations <folder>', 'accepted and ignored: the migrations come with the program')
    .option('--templates <folder>', 'accepted and ignored: the pages come with the program')
    .action(async ({ entity, ...flags }: ExportFlags & { readonly entity?: string }) => {
      if (entity !== undefined && (isUserId(entity) || isServerName(entity))) return await exportEntity(entity, flags)
      console.error(entity === undefined ? 'Give -entity.' : `-entity: ${entity} is no user id and no server name`)
      command.outputHelp({ error: true })
      process.exitCode = FAILED
    })
  return fromGoFlags(command)
}

async function exportEntity(entity: string, { destination, s3Urls = true, ...source }: ExportFlags): Promise<void> {
  await withTools(source, async (tools, signal) => {
    const { exportToFolder } = await import('../app/archives.ts')
    using line = new ProgressLine(process.stderr, () => performance.now())
    let looked = 0
    const onMedia = () => line.show(0, `${count(++looked)} media`)
    const action = entity.startsWith('@') ? 'export_user_data' : 'export_server_data'
    try {
      const order = { entity, folder: destination, withS3Urls: s3Urls, signal, onMedia }
      const { leftOut } = await audited(tools, commandLine(), { action, subject: entity }, async () => {
        const leftOut = await exportToFolder(tools, order)
        return { leftOut, affected: looked }
      })
      line.show(1, `${count(looked)} media`, true)
      line[Symbol.dispose]()
      tell(leftOut)
      console.log(`Export complete. The archive is in ${destination}.`)
    } catch (error) {
      if (!signal.aborted) throw error
      console.error('The export was stopped; the same command goes on where it was.')
      process.exitCode = FAILED
    }
  })
}

function tell(leftOut: Readonly<Partial<Record<LeftOut, number>>>): void {
  for (const [why, number] of Object.entries(leftOut)) {
    console.log(`${count(number)} are not in it: ${LEFT_OUT_WORDS[why as LeftOut]}.`)
  }
}
