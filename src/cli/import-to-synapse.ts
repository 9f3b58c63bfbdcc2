import { loadConfig } from '../config/load.ts'
import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { openLog } from '../lib/log.ts'
import { configSource } from './config-source.ts'
import { type ExportFlags, importToSynapseAlias } from './export-flags.ts'
import { exportSynapse, exportTo, fillSynapse, LOGGING } from './export-synapse.ts'
import { type Style, tellingMissingPassword } from './homeserver-command.ts'
import { readTheirs } from './import-request.ts'
import { tellingRefusals } from './tools.ts'

/** Where MMR's tool looks for an archive. */
const USUAL_ARCHIVE = './gdpr-data'

/** MMR's `import_to_synapse`: from an archive, as there, or with `-config` from what is here. */
export const importToSynapseCommand = (): Command =>
  importToSynapseAlias(async (flags) => {
    if (flags.config !== undefined && flags.directory === undefined) await exportSynapse(flags, 'go')
    else await archiveToSynapse({ ...flags, directory: flags.directory ?? USUAL_ARCHIVE }, 'go')
  })

/** Fills a Synapse from the archive in `directory`. No Cellarium is needed for it. */
export async function archiveToSynapse(
  flags: ExportFlags & { readonly directory: string },
  style: Style,
): Promise<void> {
  await using logging = openLog({ ...LOGGING, logLevel: flags.debug ? 'debug' : 'info' })
  const { archiveMedia, archiveNames, openArchiveFolder, serverOfArchive } = await import('../exports/archive-media.ts')
  await tellingMissingPassword(style, () =>
    tellingRefusals(async (signal) => {
      const theirs = flags.homeserverConfig === undefined ? undefined : await readTheirs(flags.homeserverConfig)
      using archive = await openArchiveFolder(flags.directory, signal)
      const serverName = flags.serverName ?? theirs?.serverName ?? serverOfArchive(archive)
      const to = await exportTo(flags, { serverName, theirs, style })
      const onlyLooks = flags.verify === true || flags.dryRun === true
      await fillSynapse({
        to,
        source: ({ folder }) =>
          onlyLooks
            ? archiveNames(archive, { serverName })
            : archiveMedia(archive, { serverName, staging: () => folder.staging() }),
        flags,
        style,
        log: logging.log,
        signal,
        main: await mainConfig(flags),
        noted: (work) => work(),
      })
    }),
  )
}

/** Limits for thumbnails: of a configuration, if one is named and there. */
async function mainConfig({ config, data }: ExportFlags) {
  const path = config ?? process.env['REPO_CONFIG']
  const named = path !== undefined && existsSync(path) ? { config: path } : {}
  const source = configSource({ ...named, ...(data === undefined ? {} : { data }) }, {})
  return (await loadConfig(source)).main
}
