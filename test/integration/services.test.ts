import { existsSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { startProgram } from '../support/processes.ts'
import { temporaryFolder } from '../support/folder.ts'
import { describeWith, freshDatabase } from '../support/services.ts'

describeWith('postgres', 'Databases for tests', () => {
  test('each is empty, apart from the others, and gone afterwards', async () => {
    const client = await (async () => {
      await using one = await freshDatabase()
      await using other = await freshDatabase()
      const [first, second] = [await connect(one.url), await connect(other.url)]
      await first.query('CREATE TABLE things (name text)')
      await expect(second.query('SELECT * FROM things')).rejects.toThrow('does not exist')
      await second.end()
      return { first, url: one.url }
    })()
    await expect(connect(client.url)).rejects.toThrow('does not exist')
    await client.first.end().catch(() => undefined)
  })

  test('sort text by language unless asked for bytewise order, as real servers do', async () => {
    await using database = await freshDatabase()
    const client = await connect(database.url)
    const { rows } = await client.query(`SELECT 'a' < 'B' AS by_language, 'a' < 'B' COLLATE "C" AS bytewise`)
    await client.end()
    expect(rows).toEqual([{ by_language: true, bytewise: false }])
  })
})

test(
  'A program started by a test ends when the test process is killed',
  { skip: process.platform !== 'linux' },
  async () => {
    const support = new URL('../support/processes.ts', import.meta.url).href
    const script = `const { startProgram } = await import('${support}')
    console.log((await startProgram({ command: ['sleep', '60'] })).pid)`
    await using parent = await startProgram({ command: [process.execPath, '--input-type=module', '-e', script] })
    while (parent.lines.length === 0 && parent.running) await pause(20)
    const pid = Number(parent.lines[0])
    expect(existsSync(`/proc/${pid}`)).toBe(true)
    await parent.stop('SIGKILL')
    for (let waited = 0; existsSync(`/proc/${pid}`) && waited < 5_000; waited += 20) await pause(20)
    expect(existsSync(`/proc/${pid}`)).toBe(false)
  },
)

describe('npm test', () => {
  // An address that nothing listens at keeps the inner run from starting a server that its suite does not need.
  const withoutSynapse = {
    CELLARIUM_TEST_SYNAPSE: '/nonexistent',
    CELLARIUM_TEST_POSTGRES: 'postgres://127.0.0.1:1/none',
  }

  test('says which suites it skipped, for want of what, and how to get it', async () => {
    const { printed, code } = await npmTest({ ...withoutSynapse, CI: '' })
    expect(printed).toContain('Skipped for want of synapse: Two people on a real Synapse behind a real nginx')
    expect(printed).toContain('pip install matrix-synapse')
    expect(code).toBe(0)
  })

  test('fails in CI when a suite was skipped', async () => {
    const { printed, code } = await npmTest({ ...withoutSynapse, CI: 'true' })
    expect(printed).toContain('In CI nothing but versitygw may be missing')
    expect(code).toBe(1)
  })

  test('does without an S3 server in CI, and says so', async () => {
    const environment = { ...withoutSynapse, CELLARIUM_TEST_VERSITYGW: '/nonexistent', CI: 'true' }
    const { printed, code } = await npmTest(environment, 'test/integration/s3-links.test.ts')
    expect(printed).toContain('Skipped for want of versitygw: A presigned link')
    expect(code).toBe(0)
  })
})

test('A temporary folder goes with all that is in it', async () => {
  const path = await (async () => {
    await using folder = await temporaryFolder()
    expect(existsSync(folder.path)).toBe(true)
    return folder.path
  })()
  expect(existsSync(path)).toBe(false)
})

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

/** `npm test` for one suite, in another process. */
async function npmTest(
  environment: NodeJS.ProcessEnv,
  suite = 'test/integration/synapse.test.ts',
): Promise<{ printed: string; code: number | null }> {
  const script = fileURLToPath(new URL('../run.ts', import.meta.url))
  await using run = await startProgram({
    command: [process.execPath, script, suite],
    environment: { ...process.env, ...environment },
  })
  const { code } = await run.ended
  return { printed: run.lines.join('\n'), code }
}
