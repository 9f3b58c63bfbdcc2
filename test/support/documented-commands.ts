/** Commands of ours in the documentation: what administrators paste. */
import type { Command } from 'commander'
import { programFor, toolNames } from '../../src/cli/program.ts'

export interface Documented {
  /** The command and its arguments. */
  readonly words: readonly string[]
  /** In a block to be pasted; else in the middle of a sentence, where it may be cut short. */
  readonly isWhole: boolean
}

const NAMES = new Set(['cellarium', ...toolNames])
/** What stands before it: variables, and who runs it. */
const BEFORE = /^(?:[A-Z_]+=\S+|npx|sudo|-u|-it|docker|exec|[a-z-]+)$/

/** All of a page, without those that say `…` for what is left out. */
export function commandsIn(page: string): readonly Documented[] {
  const blocks = [...page.matchAll(/^ *```sh\n(?<text>.*?)^ *```$/gms)].map(({ groups }) => groups?.['text'] ?? '')
  const pasted = blocks.flatMap((block) => block.replaceAll('\\\n', ' ').split('\n'))
  const rest = page.replaceAll(/^ *```.*?^ *```$/gms, '')
  const inText = [...rest.matchAll(/`(?<text>[^`\n]+)`/g)].map(({ groups }) => groups?.['text'] ?? '')
  return [
    ...pasted.flatMap((line) => commandIn(line.replace(/ # .*| {2,}#.*/, ''), true)),
    ...inText.flatMap((text) => commandIn(text, false)),
  ]
}

function commandIn(line: string, isWhole: boolean): readonly Documented[] {
  const words = [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '')
  const at = words.findIndex((word) => NAMES.has(word.replace(/^[\w./]*\//, '')))
  const isOurs = at !== -1 && words.slice(0, at).every((word) => BEFORE.test(word))
  if (!isOurs || /[…|]/.test(line) || (words.length === at + 1 && !isWhole)) return []
  const [name = '', ...args] = words.slice(at)
  return [{ words: [name.replace(/^.*\//, ''), ...args], isWhole }]
}

/** Why the program would not take it; undefined: it would. Nothing is run. */
export async function refusalOf({ words, isWhole }: Documented): Promise<string | undefined> {
  const [name, ...args] = words
  const given = name === 'cellarium' ? args : words
  const program = await programFor(given)
  withoutDoing(program)
  try {
    await program.parseAsync(['node', 'cellarium', ...given])
    return undefined
  } catch (error) {
    if (!isRefusal(error)) throw error
    const isCutShort = ['commander.missingArgument', 'commander.help'].includes(error.code)
    return isCutShort && !isWhole ? undefined : `${words.join(' ')}: ${error.message}`
  }
}

const isRefusal = (error: unknown): error is Error & { readonly code: string } =>
  error instanceof Error && 'code' in error && String(error.code).startsWith('commander.')

function withoutDoing(command: Command): void {
  command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} })
  if (command.commands.length === 0) command.action(() => {})
  for (const below of command.commands) withoutDoing(below)
}
