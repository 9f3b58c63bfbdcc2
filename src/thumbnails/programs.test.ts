import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import pino from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findPrograms, lookForPrograms, reportPrograms } from './programs.ts'
import { type ProgramRun, runProgram } from './run-program.ts'

const stays = new AbortController().signal

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cellarium-test-'))
})
afterAll(() => rm(folder, { recursive: true }))

let count = 0
/** A folder with scripts in it, by their names. */
async function programs(scripts: Readonly<Record<string, string>>): Promise<string> {
  const place = join(folder, `programs-${++count}`)
  await mkdir(place)
  for (const [name, script] of Object.entries(scripts)) {
    await writeFile(join(place, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  }
  return place
}

function logOfLines() {
  const lines: { readonly level: number; readonly msg: string; readonly program?: string }[] = []
  return { lines, log: pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }) }
}

describe('programs of the machine are looked for', () => {
  test('in the folders of PATH, in their order, and say their versions', async () => {
    const first = await programs({ djxl: 'echo djxl v0.7.0 [AVX2]' })
    const second = await programs({ djxl: 'echo 9.9', ffmpeg: 'echo ffmpeg version 5.1.9-0+deb12u1 Copyright' })
    expect(await findPrograms([first, '', second].join(delimiter), stays)).toEqual({
      djxl: { path: join(first, 'djxl'), version: '0.7.0' },
      ffmpeg: { path: join(second, 'ffmpeg'), version: '5.1.9' },
    })
  })

  test('by their older names, too, and where they call the question a mistake', async () => {
    const place = await programs({ 'heif-convert': 'echo heif-convert libheif version: 1.15.1 >&2; exit 1' })
    expect(await findPrograms(place, stays)).toEqual({
      'heif-dec': { path: join(place, 'heif-convert'), version: '1.15.1' },
    })
  })

  test('and those that do not start are missing', async () => {
    const place = await programs({
      ffmpeg: 'echo error while loading shared libraries: libavdevice.so.59.7 >&2; exit 127',
      pdftoppm: 'exit 1',
    })
    await writeFile(join(place, 'djxl'), 'not executable')
    expect(await findPrograms(place, stays)).toEqual({})
  })

  test('with one line of what there is, and one for each that an enabled type lacks', async () => {
    const { lines, log } = logOfLines()
    const place = await programs({ ffmpeg: 'echo 5.1.9', prlimit: 'echo 2.38.1' })
    await lookForPrograms(place, ['image/png', 'audio/ogg', 'video/mp4', 'application/pdf'], log).found
    expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
      [30, 'programs that help to make thumbnails'],
      [40, 'the program ffprobe is not installed: no thumbnails of video/mp4, audio/ogg'],
      [40, 'the program pdftoppm is not installed: no thumbnails of application/pdf'],
    ])
  })

  test('and are not missed when nothing enabled needs them', () => {
    const { lines, log } = logOfLines()
    reportPrograms(log, {}, ['image/png'])
    expect(lines).toEqual([])
  })

  test('and the server does not wait for the search when it stops', async () => {
    const place = await programs({ ffmpeg: 'sleep 30' })
    const search = lookForPrograms(place, [], logOfLines().log)
    search[Symbol.dispose]()
    expect(await search.found).toEqual({})
  })
})

describe.skipIf(process.platform !== 'linux')('a program that decodes a file', () => {
  async function run(script: string, options: Partial<ProgramRun> = {}): Promise<string> {
    const place = await programs({ djxl: `[ "$1" = --version ] && echo 1.0 && exit\n${script}` })
    const found = await findPrograms([place, ...(process.env['PATH'] ?? '').split(delimiter)].join(delimiter), stays)
    let printed = ''
    await runProgram(
      { programs: found, memoryLimitBytes: 2 ** 30 },
      {
        program: 'djxl',
        args: ['a b', '$(exit 9)'],
        folder: place,
        maxOutputBytes: 100_000,
        onOutput: (piece) => (printed += piece.toString()),
        signal: stays,
        ...options,
      },
    )
    return printed
  }
  const refusal = (message: RegExp, cause = /./) =>
    expect.objectContaining({
      reason: 'not_thumbnailable',
      message: expect.stringMatching(message),
      cause: expect.objectContaining({ message: expect.stringMatching(cause) }),
    })

  test('gets its arguments as they are, an empty environment, and nothing to read', async () => {
    process.env['CELLARIUM_TEST_SECRET'] = 'a secret'
    try {
      const printed = await run('printf "%s|" "$@"; tr "\\0" "\\n" </proc/self/environ; /bin/cat')
      expect(printed).toMatch(/^a b\|\$\(exit 9\)\|/)
      expect(printed).not.toMatch(/secret|HOME|PATH=.*node_modules/)
    } finally {
      delete process.env['CELLARIUM_TEST_SECRET']
    }
  })

  test('is held to its limits on memory, files and core files', async () => {
    const printed = await run('ulimit -v; ulimit -f; ulimit -c')
    // Shells count kilobytes of memory, and blocks of 512 bytes.
    expect(printed.split('\n')).toEqual([String(2 ** 20), String(Math.floor(100_000 / 512)), '0', ''])
  })

  test('fails when it does, and the caller learns nothing of the machine', async () => {
    const failure = await run('echo /etc/secret: no such file >&2; exit 3').catch((error: unknown) => error)
    expect(failure).toEqual(refusal(/damaged/, /exit code 3 .*no such file/))
    expect(String(failure)).not.toContain('secret')
  })

  test('is ended when it writes more than it may: to a file', async () => {
    const place = await programs({})
    await expect(run('exec /bin/cat /dev/zero > large', { folder: place })).rejects.toEqual(
      refusal(/damaged/, /SIGXFSZ/),
    )
    expect((await readFile(join(place, 'large'))).length).toBe(100_000)
  })

  test('is ended when it writes more than it may: to its standard output', async () => {
    await expect(run('exec /bin/cat /dev/zero')).rejects.toEqual(refusal(/damaged/, /SIGKILL/))
  })

  test('is ended when its time is over', async () => {
    await expect(run('exec /bin/sleep 60', { signal: AbortSignal.timeout(300) })).rejects.toEqual(refusal(/too long/))
  })

  test('cannot be used when it is missing, and the message names it', async () => {
    const outside = { programs: {}, memoryLimitBytes: 2 ** 30 }
    const rest = { args: [], folder, maxOutputBytes: 1, signal: stays }
    await expect(runProgram(outside, { program: 'pdftoppm', ...rest })).rejects.toThrow('prlimit is not installed')
    const prlimit = { path: '/usr/bin/prlimit', version: '2' }
    await expect(runProgram({ ...outside, programs: { prlimit } }, { program: 'pdftoppm', ...rest })).rejects.toThrow(
      'pdftoppm is not installed',
    )
  })
})
