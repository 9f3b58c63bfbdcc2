import { resolve } from 'node:path'
import { Command } from 'commander'
import type { HomeserverKind } from '../app/imports.ts'
import { systemClock } from '../lib/clock.ts'
import { Refused } from '../lib/errors.ts'
import { openLog } from '../lib/log.ts'
import { formatMxc } from '../matrix/ids.ts'
import { fromGoFlags } from './go-flags.ts'
import { aroundCommand, tellingMissingPassword } from './homeserver-command.ts'
import { databaseOf, type DatabaseFlags } from './import-request.ts'
import { tellingRefusals } from './tools.ts'

interface MmrFlags extends DatabaseFlags {
  readonly serverName: string
  readonly destination: string
  readonly partSize: string
  readonly mediaDirectory: string
  readonly skipMissing?: true
  readonly debug?: true
}

/** MMR's `export_synapse_for_import`. */
export const exportSynapseForImportCommand = (): Command => forImport('synapse')

/** MMR's `export_dendrite_for_import`. */
export const exportDendriteForImportCommand = (): Command => forImport('dendrite')

/** With MMR's flags: a homeserver's own media, from its database and folder into an archive. Nothing else is needed for it. */
function forImport(kind: HomeserverKind): Command {
  const command = new Command(`export_${kind}_for_import`)
    .description(`put the media of a ${kind === 'synapse' ? 'Synapse' : 'Dendrite'} into an archive, without a server`)
    .option('--dbHost <host>', 'host of its PostgreSQL database', 'localhost')
    .option('--dbPort <port>', 'port', '5432')
    .option('--dbUsername <name>', 'user', kind)
    .option('--dbPassword <password>', 'password (else PGPASSWORD, else you are asked)')
    .option('--dbName <name>', 'database', kind)
    .option('--database <address>', 'instead of all these: postgres://… or a file of SQLite')
    .option('--serverName <name>', 'server name of the homeserver', 'localhost')
    .option('--mediaDirectory <folder>', 'its media folder', './media_store')
    .option('--destination <folder>', 'where the archive goes', './media-export')
    .option('--partSize <bytes>', 'size of a part before compression', '104857600')
    .option('--skipMissing', 'leave out media whose files are missing; else the first one ends the export')
    .option('--templates <folder>', 'accepted and ignored: they come with the program')
    .option('--debug', 'log more')
    .option('--prettyLog', 'accepted and ignored: the log is for people to read')
    .action((flags: MmrFlags) =>
      tellingMissingPassword('go', () => tellingRefusals((signal) => write(kind, flags, signal))),
    )
  return fromGoFlags(command)
}

async function write(kind: HomeserverKind, flags: MmrFlags, signal: AbortSignal): Promise<void> {
  const { serverName, destination } = flags
  const targetBytes = partSizeIn(flags.partSize)
  const level = flags.debug ? 'debug' : 'info'
  await using logging = openLog({ logDirectory: '-', logColors: false, jsonLogs: false, logLevel: level })
  const { log } = logging
  await using opened = new AsyncDisposableStack()
  const { openFolder, openRecords } = await import('../app/imports.ts')
  const files = await openFolder(resolve(flags.mediaDirectory))
  const database = await databaseOf(kind, flags, undefined, aroundCommand('go'))
  const records = await openRecords(opened, { kind, database, names: { serverName, isOurs: () => false } })
  const { folderPlace } = await import('../archives/folder.ts')
  const { writeArchive } = await import('../archives/write.ts')
  const { archivableMedia } = await import('../exports/to-archive.ts')
  using place = await folderPlace(resolve(destination), serverName, systemClock.now())
  log.info(`Exporting ${await records.count()} media records`)
  const media = archivableMedia({
    records,
    files,
    serverName,
    skipMissing: flags.skipMissing ?? false,
    onRecord: (record, problem) => {
      const mxc = formatMxc(record)
      if (problem === undefined) log.debug({ mxc }, 'Exporting')
      else log.warn({ mxc, problem }, 'Left out')
    },
  })
  const { createdAt } = place
  try {
    await writeArchive(place, media, { entity: serverName, createdAt, targetBytes, signal })
  } catch (error) {
    if (!signal.aborted) throw error
    throw new Refused('bad_request', 'The export was stopped; the same command goes on where it was.')
  }
  // Those whose bytes turned out to be others only when they were read are among them.
  const leftOut = await place.leftOut()
  if (Object.keys(leftOut).length > 0) log.warn(leftOut, 'Some media are not in the archive')
  log.info({ destination: resolve(destination) }, 'Done export')
  log.info('Export completed')
}

function partSizeIn(text: string): number {
  const bytes = Number(text)
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes
  throw new Refused('bad_parameter', `-partSize ${text} is no number of bytes`)
}
