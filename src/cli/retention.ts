import { Command } from 'commander'
import type { Tools } from '../app/tools.ts'
import type { ExpiryPreview } from '../media/expiry.ts'
import { previewRetention, type RetentionPreview } from '../media/retention.ts'
import { type LocalRule, type Retention, retentionOf } from '../media/retention-rules.ts'
import { formatMxc } from '../matrix/ids.ts'
import { bytes, count } from './amounts.ts'
import type { SourceOptions } from './config-source.ts'
import { withTools } from './tools.ts'

interface Options extends SourceOptions {
  readonly json?: boolean
}

/** `cellarium retention`: what would go by the options of a configuration, before it is switched on. */
export function retentionCommand(): Command {
  return new Command('retention')
    .description(
      'say what retention.local and the expireAfterDays of a configuration would remove now; nothing is changed',
    )
    .option('-c, --config <path>', 'configuration file, or folder of files (else REPO_CONFIG)')
    .option('-d, --data <folder>', "folder of the server's own files (else CELLARIUM_DATA)")
    .option('--dry-run', 'nothing else is done anyway')
    .option('--json', 'for programs')
    .action(async (options: Options) => await withTools(options, (tools, signal) => show(tools, options, signal)))
}

async function show(tools: Tools, { json }: Options, signal: AbortSignal): Promise<void> {
  const retention = retentionOf(tools.main)
  const preview = await previewRetention(tools, retention, signal, Infinity)
  console.log(json ? JSON.stringify(preview, undefined, 2) : linesOf(preview, retention).join('\n'))
}

function linesOf({ remote, local, thumbnails, previews }: RetentionPreview, retention: Retention): readonly string[] {
  const kept = 'kept for ever'
  return [
    `Media of other servers (downloads.expireAfterDays: ${retention.remoteDays}): ${remote ? told(remote) : kept}`,
    ...(remote ? examples(remote) : []),
    `Uploads (retention.local: ${retention.local.length} rules): ${local ? told(local) : kept}`,
    ...retention.local.map((rule, index) => `  ${described(rule)}: ${told(local?.byRule[index])}`),
    ...(local ? examples(local) : []),
    `Thumbnails (thumbnails.expireAfterDays: ${retention.thumbnailDays}): ${thumbnails ? `${atLeast(thumbnails)}${count(thumbnails.count)}, ${bytes(thumbnails.bytes)}` : kept}`,
    `URL previews (urlPreviews.expireAfterDays: ${retention.previewDays}): ${previews ? atLeast(previews) + count(previews.count) : kept}`,
  ]
}

const atLeast = ({ isComplete }: { readonly isComplete: boolean }) => (isComplete ? '' : 'at least ')

function told(found: Pick<ExpiryPreview, 'files' | 'bytes'> | undefined): string {
  return `${count(found?.files ?? 0)} files, ${bytes(found?.bytes ?? 0)}`
}

const examples = ({ names }: ExpiryPreview) => names.map((name) => `  ${formatMxc(name)}`)

function described({ olderThanDays, largerThanBytes, types, users, servers }: LocalRule): string {
  const lists = [...types, ...users, ...servers]
  const size = largerThanBytes > 0 ? [`larger than ${bytes(largerThanBytes)}`] : []
  return [`not used for ${olderThanDays} days`, ...size, ...lists].join(', ')
}
