/** What matrix-media-repo's users type, as programs of the package. */
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { lockWithTools, packageWithTools, toolProgram } from '../../scripts/tools.ts'
import { toolNames } from '../../src/cli/program.ts'
import { eventually } from '../support/app.ts'
import { temporaryFolder } from '../support/folder.ts'
import { type Program, runProgram, startProgram, untilReady } from '../support/processes.ts'
import { describeWith, freePort } from '../support/services.ts'

const HINT = 'run: node scripts/generate-tools.ts'
const inPackage = (path: string) => new URL(`../../${path}`, import.meta.url)
const program = (name: string) => fileURLToPath(inPackage(`bin/${name}.js`))

/** All of matrix-media-repo's (mmr-behaviour 7.1), but `run.sh`, which the image has. */
const TOOLS = [
  'combine_signing_keys',
  'export_dendrite_for_import',
  'export_synapse_for_import',
  'gdpr_export',
  'gdpr_import',
  'generate_signing_key',
  'import_dendrite',
  'import_synapse',
  'import_to_synapse',
  'media_repo',
  's3_consistency_check',
  'thumbnailer',
]
/** Whose commands are still being written: whoever adds one takes its name away here. */
const COMING = ['gdpr_export', 'gdpr_import']

function environment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const { CELLARIUM_DATA: _data, REPO_CONFIG: _config, ...ours } = process.env
  return { ...ours, ...more }
}

async function run(folder: string, name: string, args: readonly string[], more = {}) {
  const command = [process.execPath, program(name), ...args]
  await using started = await startProgram({ command, folder, environment: environment(more) })
  const { code } = await started.ended
  return { code, text: started.lines.join('\n') }
}

describe("matrix-media-repo's tools", () => {
  test('are those that are there, and those that are coming', () => {
    expect([...toolNames, ...COMING].toSorted()).toEqual(TOOLS)
  })

  test('are programs of the package, and none else', async () => {
    const text = await readFile(inPackage('package.json'), 'utf8')
    expect(text, HINT).toBe(packageWithTools(text, toolNames))
    const lock = await readFile(inPackage('package-lock.json'), 'utf8')
    expect(lock, HINT).toBe(lockWithTools(lock, toolNames))
    for (const name of toolNames) {
      expect(await readFile(program(name), 'utf8'), HINT).toBe(toolProgram(name))
      expect((await stat(program(name))).mode & 0o111, `${name} can be run`).toBe(0o111)
    }
  })

  test('explain their flags as programs in Go do, and end with 0', async () => {
    await using folder = await temporaryFolder()
    const helps = toolNames.map(async (name) => [name, await run(folder.path, name, ['-help'])] as const)
    for (const [name, { code, text }] of await Promise.all(helps)) {
      expect([name, code, text]).toEqual([name, 0, expect.stringContaining(`Usage: cellarium ${name}`)])
    }
  })
})

describe('media_repo', () => {
  test('says its version', async () => {
    await using folder = await temporaryFolder()
    const { version } = JSON.parse(await readFile(inPackage('package.json'), 'utf8'))
    expect(await run(folder.path, 'media_repo', ['-version'])).toEqual({ code: 0, text: version })
  })

  test('serves with REPO_CONFIG, whatever -config says', async () => {
    const port = await freePort()
    await using folder = await temporaryFolder({
      'one.yaml': configOn(port),
      'other.yaml': 'repo: { port: nonsense }\n',
    })
    const command = [process.execPath, program('media_repo'), '-config=other.yaml', '-migrations', './migrations']
    await using server = await startProgram({
      command,
      folder: folder.path,
      environment: environment({ REPO_CONFIG: 'one.yaml' }),
    })
    await untilHealthy(server, port)
    expect(await server.stop('SIGTERM')).toEqual({ code: 0, signal: null })
  })

  test('without a configuration writes a sample, for its owner alone, and serves with it', async () => {
    await using folder = await temporaryFolder()
    // The sample listens on port 8000, which may be somebody's here: all that counts is that it was read.
    await using server = await startProgram({
      command: [process.execPath, program('media_repo')],
      folder: folder.path,
      environment: environment(),
    })
    await eventually(() => server.lines.some((line) => /listens on|8000/.test(line)))
    const file = join(folder.path, 'media-repo.yaml')
    expect(await readFile(file, 'utf8')).toBe(await readFile(inPackage('config.sample.yaml'), 'utf8'))
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  test('ends with 2 where it can neither read a configuration nor write one', async () => {
    await using folder = await temporaryFolder()
    const { code, text } = await run(folder.path, 'media_repo', [], { REPO_CONFIG: 'no/such/folder/media-repo.yaml' })
    expect([code, text]).toEqual([2, expect.stringContaining('no/such/folder/media-repo.yaml does not exist')])
  })
})

describe('cellarium healthy', () => {
  test('ends with 0 while the server can work, and with 1 when there is none', async () => {
    const port = await freePort()
    await using folder = await temporaryFolder({ 'one.yaml': configOn(port).replace('127.0.0.1', '0.0.0.0') })
    const config = ['healthy', '-c', 'one.yaml']
    expect((await run(folder.path, 'cellarium', config)).code).toBe(1)
    const command = [process.execPath, program('cellarium'), 'serve', '-c', 'one.yaml']
    await using server = await startProgram({ command, folder: folder.path, environment: environment() })
    await untilHealthy(server, port)
    expect(await run(folder.path, 'cellarium', config)).toEqual({ code: 0, text: expect.stringContaining('"ok":true') })
  })
})

describeWith('mount', 'The first process of a container', () => {
  // unshare stays outside, as a container's runtime does; what it starts is process 1 to itself.
  const AS_FIRST = ['unshare', '--pid', '--fork', '--kill-child=SIGKILL']

  test('reloads on SIGHUP, answers what is under way on SIGTERM, and ends with 0', async () => {
    const port = await freePort()
    await using folder = await temporaryFolder({ 'one.yaml': configOn(port) })
    await using outside = await asFirst(folder.path, [program('media_repo'), '-config', 'one.yaml'])
    await untilHealthy(outside, port)
    const [first = 0] = await childrenOf(outside)
    await writeFile(join(folder.path, 'one.yaml'), configOn(port).replace('example.org', 'other.example.org'))
    process.kill(first, 'SIGHUP')
    await eventually(async () => (await ask(port, 'other.example.org')) === 200)
    process.kill(first, 'SIGTERM')
    expect(await outside.ended).toEqual({ code: 0, signal: null })
  })

  test('ends on SIGTERM also while it still reads its configuration', async () => {
    await using folder = await temporaryFolder()
    // Who opens a pipe that nobody writes to waits.
    await runProgram({ command: ['mkfifo', join(folder.path, 'pipe.yaml')] })
    await using outside = await asFirst(folder.path, [program('media_repo'), '-config', 'pipe.yaml'])
    await eventually(async () => (await childrenOf(outside)).length === 1)
    const [first = 0] = await childrenOf(outside)
    // What comes before Node has begun is lost, whoever is process 1.
    await eventually(() => !tell(first, 'SIGTERM'), 30_000)
    expect(await outside.ended).toEqual({ code: 143, signal: null })
  })

  function asFirst(folder: string, args: readonly string[]): Promise<Program> {
    const command = [...AS_FIRST, process.execPath, ...args]
    return startProgram({ command, folder, environment: environment(), endSignal: 'SIGKILL' })
  }
})

/** Whether it was still there to be told. */
function tell(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}

async function childrenOf({ pid }: Program): Promise<number[]> {
  const listed = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return listed.split(' ').filter(Boolean).map(Number)
}

function configOn(port: number): string {
  return `repo: { bindAddress: 127.0.0.1, port: ${port}, dataPath: data, logDirectory: "-" }
homeservers: [{ name: example.org, csApi: "http://127.0.0.1:9" }]
`
}

async function ask(port: number, host: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/_matrix/media/version`, {
    headers: { 'X-Forwarded-Host': host },
  })
  await answer.body?.cancel()
  return answer.status
}

async function untilHealthy(server: Program, port: number): Promise<void> {
  await untilReady(server, async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok)
}
