import type { Command } from 'commander'

/**
 * Lets a command take its long options with a single dash as well, as programs in Go do: `-config x`, `-config=x`. For
 * commands under MMR's names.
 */
export function fromGoFlags(command: Command): Command {
  const parse = command.parseOptions.bind(command)
  const names = new Set(['--help', ...command.options.map(({ long }) => long)])
  command.parseOptions = (args) => parse(args.map((arg) => withTwoDashes(arg, names)))
  return command
}

function withTwoDashes(arg: string, names: ReadonlySet<string | undefined>): string {
  const [flag = ''] = arg.split('=')
  return /^-[^-]/.test(flag) && names.has(`-${flag}`) ? `-${arg}` : arg
}
