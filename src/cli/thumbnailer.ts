import { Command } from 'commander'
import type { Method } from '../thumbnails/sizes.ts'
import { fromGoFlags } from './go-flags.ts'
import { makeThumbnail, methodOption, pixels } from './thumbnail.ts'

interface MmrFlags {
  readonly config?: string
  readonly i: string
  readonly o: string
  readonly w: number
  readonly h: number
  readonly m: Method
  readonly a: boolean
}

/** `thumbnailer` with MMR's flags (`-h` is the height) and its habit of replacing files. */
export function thumbnailerCommand(): Command {
  const command = new Command('thumbnailer')
    .description('make a thumbnail of a file (MMR’s name for `thumbnail`, with its flags)')
    .helpOption('--help', 'say this')
    .option('--config <path>', 'file or folder (else REPO_CONFIG, else the defaults)')
    .requiredOption('--i <file>', 'what to make it of')
    .requiredOption('--o <file>', 'where to')
    .option('--w <pixels>', 'width', pixels, 512)
    .option('--h <pixels>', 'height', pixels, 512)
    .addOption(methodOption('--m <method>'))
    .option('--a', 'let it move, if the file does', false)
    .option('--f <type>', 'accepted and ignored: what its bytes say decides what a file is')
    .action(async ({ config, i: input, o: output, w: width, h: height, m: method, a: animated }: MmrFlags) => {
      const source = config === undefined ? {} : { config }
      await makeThumbnail(source, { input, output, replace: true, width, height, method, animated })
    })
  return fromGoFlags(command)
}
