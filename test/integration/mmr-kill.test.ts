import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { stringify } from 'yaml'
import { expect, test } from 'vitest'
import { cellarium, configOf, emptyMmr, fillMmr, type MmrPlace, untilCopied } from '../support/mmr.ts'
import { type Ask, copiedFromMmr } from '../support/mmr-copied.ts'
import { type Program, startProgram } from '../support/processes.ts'
import { describeWith, freePort, freshDatabase } from '../support/services.ts'

const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))
const ROWS = 10_000
const KILLS = 4
const PATIENT_MS = 300_000

/** Somewhere to copy to, and what copies. */
interface Target extends AsyncDisposable {
  readonly ask: Ask
  readonly start: () => Promise<Program>
  /** Resolves when all of it is there. */
  readonly finish: () => Promise<void>
  /** So that the next one need not wait until the last one's lease has ended. */
  readonly forgetLeases: () => Promise<void>
}

describeWith(
  'postgres',
  'A copy of matrix-media-repo that is killed again and again leaves what one run leaves',
  () => {
    test(
      'where a server copies on the same database',
      async () => {
        await using undisturbed = await filledMmr()
        await using killed = await filledMmr()
        await compare(await served(undisturbed), await served(killed))
      },
      PATIENT_MS,
    )

    test(
      'where the command copies into another PostgreSQL database',
      async () => {
        await using mmr = await filledMmr()
        await compare(await commanded(mmr, 'undisturbed'), await commanded(mmr, 'killed'))
      },
      PATIENT_MS,
    )

    test(
      'where the command copies into SQLite',
      async () => {
        await using mmr = await filledMmr()
        await compare(await intoSqlite(mmr, 'undisturbed'), await intoSqlite(mmr, 'killed'))
      },
      PATIENT_MS,
    )
  },
)

async function compare(undisturbed: Target, killed: Target): Promise<void> {
  await using once = undisturbed
  await using often = killed
  await once.finish()
  expect(await killAgainAndAgain(often)).toBeGreaterThan(1)
  await often.finish()
  const copied = await copiedFromMmr(once.ask)
  expect(copied).toContainEqual([expect.stringContaining('FROM media'), ROWS, expect.anything()])
  expect(await copiedFromMmr(often.ask)).toEqual(copied)
}

/** Gives how many times something was at work when it was killed. */
async function killAgainAndAgain({ ask, start, forgetLeases }: Target): Promise<number> {
  let kills = 0
  for (let round = 1; round <= KILLS; round++) {
    const before = await progressOf(ask)
    await using program = await start()
    while (program.running && (await progressOf(ask)) === before) await pause(5)
    await pause(Math.random() * 150)
    const isUnderWay = program.running && (await progressOf(ask)).includes('copying')
    await program.stop('SIGKILL')
    await forgetLeases()
    if (isUnderWay) kills++
  }
  return kills
}

/** Something that is another after each step. */
async function progressOf(ask: Ask): Promise<string> {
  try {
    return JSON.stringify(await ask('SELECT state, progress FROM mmr_take_over'))
  } catch {
    return ''
  }
}

async function filledMmr(): Promise<MmrPlace> {
  const mmr = await emptyMmr()
  await fillMmr(mmr, ROWS)
  return mmr
}

async function served(mmr: MmrPlace): Promise<Target> {
  const config = { ...configOf(mmr, 'http://127.0.0.1:9'), repo: { port: await freePort(), bindAddress: '127.0.0.1' } }
  const configFile = await configured(mmr, 'server', config)
  const start = () => startProgram({ command: [process.execPath, CELLARIUM, 'serve', '--config', configFile] })
  const finish = async () => {
    await using server = await start()
    await untilCopied(mmr)
    await server.stop('SIGTERM')
  }
  return { ...(await inPostgres(mmr.url)), start, finish }
}

async function commanded(mmr: MmrPlace, name: string): Promise<Target> {
  const database = await freshDatabase()
  const config = { ...configOf(mmr, 'http://127.0.0.1:9'), database: { postgres: database.url } }
  const inThere = await inPostgres(database.url)
  const dispose = async () => {
    await inThere[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
  }
  return { ...inThere, ...command(mmr, await configured(mmr, name, config)), [Symbol.asyncDispose]: dispose }
}

async function intoSqlite(mmr: MmrPlace, name: string): Promise<Target> {
  const config = { ...configOf(mmr, 'http://127.0.0.1:9'), database: {} }
  const configFile = await configured(mmr, name, config)
  const file = join(mmr.folder, name, 'cellarium.sqlite')
  const ask = (statement: string) => {
    using database = new DatabaseSync(file, { timeout: 10_000 })
    return database.prepare(statement).all()
  }
  const forgetLeases = async () => void ask('DELETE FROM leases')
  return { ask, forgetLeases, ...command(mmr, configFile), [Symbol.asyncDispose]: async () => {} }
}

function command({ url }: MmrPlace, configFile: string): Pick<Target, 'start' | 'finish'> {
  const args = ['import', 'mmr', '--config', configFile, '--database', url]
  return {
    start: () => startProgram({ command: [process.execPath, CELLARIUM, ...args] }),
    finish: async () => {
      const { code, text } = await cellarium(...args)
      expect(code, text).toBe(0)
    },
  }
}

async function configured({ folder }: MmrPlace, name: string, config: object & { repo?: object }): Promise<string> {
  const dataPath = join(folder, name)
  await mkdir(dataPath, { recursive: true })
  const configFile = join(folder, `${name}.yaml`)
  await writeFile(configFile, stringify({ ...config, repo: { ...config.repo, dataPath, logDirectory: '-' } }))
  return configFile
}

async function inPostgres(url: string): Promise<Pick<Target, 'ask' | 'forgetLeases' | typeof Symbol.asyncDispose>> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('SET search_path TO cellarium')
  const ask: Ask = async (statement) => (await client.query(statement)).rows
  return {
    ask,
    forgetLeases: async () => void (await ask('DELETE FROM leases')),
    [Symbol.asyncDispose]: () => client.end(),
  }
}
