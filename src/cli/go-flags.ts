import type { Command } from 'commander'

/** What Go takes for a yes or a no behind `-flag=`. */
const YES = /^(1|t|T|TRUE|true|True)$/
const NO = /^(0|f|F|FALSE|false|False)$/

/** What programs in Go end with when they are called with flags that they do not have, or that lack their value. */
const WRONG_FLAGS = 2
const ABOUT_FLAGS = new Set([
  'commander.unknownOption',
  'commander.optionMissingArgument',
  'commander.missingMandatoryOptionValue',
])

/**
 * Lets a command take its long options with a single dash as well, as programs in Go do: `-config x`, `-config=x`, and
 * `-flag=true` or `-flag=false` for those that are yes or no. What it cannot take ends it with status 2. For commands under MMR's names.
 */
export function fromGoFlags(command: Command): Command {
  const parse = command.parseOptions.bind(command)
  const names = new Set(['--help', ...command.options.map(({ long }) => long)])
  const flags = new Set(command.options.filter((option) => option.isBoolean()).map(({ long }) => long))
  command.parseOptions = (args) =>
    parse(args.map((arg) => withTwoDashes(arg, names)).flatMap((arg) => said(arg, flags)))
  return command.exitOverride(({ code, exitCode }) => process.exit(ABOUT_FLAGS.has(code) ? WRONG_FLAGS : exitCode))
}

function withTwoDashes(arg: string, names: ReadonlySet<string | undefined>): string {
  const [flag = ''] = arg.split('=')
  return /^-[^-]/.test(flag) && names.has(`-${flag}`) ? `-${arg}` : arg
}

/** A flag is there or not: what else is said of it stays, and is refused. */
function said(arg: string, flags: ReadonlySet<string | undefined>): readonly string[] {
  const [flag = '', value = ''] = arg.split('=', 2)
  if (!flags.has(flag) || !arg.includes('=')) return [arg]
  if (YES.test(value)) return [flag]
  return NO.test(value) ? [] : [arg]
}
