import { Command } from 'commander'
import type { Finding } from '../media/check.ts'
import { checkAll } from './datastores-check.ts'
import { summaryOf } from './check-report.ts'
import { fromGoFlags } from './go-flags.ts'

interface MmrFlags {
  readonly config?: string
  readonly datastoreId?: string
  readonly outFile: string
}

/**
 * `s3_consistency_check` with MMR's flags: writes the locations of objects that no record names to a file, one a line, and
 * changes nothing. Unlike MMR's it lists below prefixes, keeps what is younger than a day out, and says what is lost too.
 */
export function s3ConsistencyCheckCommand(): Command {
  const command = new Command('s3_consistency_check')
    .description('list objects that no record names (MMR’s name for `datastores check`, with its flags)')
    .option('--config <path>', 'file or folder (else REPO_CONFIG, else the defaults)')
    .option('--datastoreId <id>', 'the datastore to check')
    .option('--outFile <file>', 'where to list them', './s3-probably-safe-to-delete.txt')
    .option('--migrations <folder>', 'accepted and ignored: the migrations come with the program')
    .action(async ({ config, datastoreId, outFile }: MmrFlags) => {
      const source = config === undefined ? {} : { config }
      const ids = datastoreId === undefined ? [] : [datastoreId]
      const { outcomes, unconfigured } = await checkAll(ids, { ...source, out: outFile }, orphansOnly)
      console.log(summaryOf(outcomes, unconfigured).join('\n'))
      console.log(`The locations of objects without a record are in ${outFile}.`)
    })
  return fromGoFlags(command)
}

function orphansOnly(_datastore: string, finding: Finding): string | undefined {
  return finding.kind === 'orphan' ? finding.location : undefined
}
