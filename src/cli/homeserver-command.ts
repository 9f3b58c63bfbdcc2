import { Refused } from '../lib/errors.ts'
import { type Around, PasswordMissing } from './import-request.ts'
import { ask, isAtTerminal } from './prompt.ts'

const FAILED = 1

/** How options are written where a command has its own name, and under MMR's. */
export type Style = 'dashed' | 'go'

/** What a command that deals with a homeserver finds around it. */
export function aroundCommand(style: Style): Omit<Around, 'homeservers'> {
  return {
    environment: process.env,
    askPassword: async () => (isAtTerminal() ? await ask('Postgres password: ', { hidden: true }) : undefined),
    spell: style === 'go' ? (option) => `-${option}` : withDashes,
  }
}

const withDashes = (option: string) => `--${option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

/** Says how to give a password that is missing, and ends the process with status 1 in time. */
export async function tellingMissingPassword(style: Style, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof PasswordMissing)) throw error
    console.error('The database needs a password, and there is no terminal to ask for it at.')
    console.error(`Give it with ${style === 'go' ? '-dbPassword' : '--db-password'}, or as PGPASSWORD.`)
    process.exitCode = FAILED
  }
}

/** The value of `workers`. */
export function workersIn(text: string): number {
  const workers = Number(text)
  if (Number.isInteger(workers) && workers >= 1 && workers <= 1000) return workers
  throw new Refused('bad_parameter', `workers: ${text} is no number from 1 to 1000`)
}
