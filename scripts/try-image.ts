/**
 * Tries the image without a container engine: `node scripts/try-image.ts FOLDER` does the last stage of the Dockerfile in a folder that
 * debootstrap fills, then runs it as mmr-compatible roles and manuals do: an arbitrary user without capabilities, a root that is
 * read-only, process 1 with and without tini. Needs root, debootstrap and Debian's mirror; minutes, and a gigabyte.
 */
import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { toolNames } from '../src/cli/program.ts'
import { eventually } from '../test/support/app.ts'
import { temporaryFolder } from '../test/support/folder.ts'
import { type Program, runProgram, startProgram, untilReady } from '../test/support/processes.ts'
import { freePort } from '../test/support/services.ts'
import { fillFolder, packPackage } from './release.ts'

const CHECKOUT = fileURLToPath(new URL('..', import.meta.url))
const MIRROR = 'http://deb.debian.org/debian'
/** Whom no passwd file knows. */
const SOMEBODY = 12_345
const NOBODY = [
  'setpriv',
  `--reuid=${SOMEBODY}`,
  `--regid=${SOMEBODY}`,
  '--clear-groups',
  '--bounding-set=-all',
  '--no-new-privs',
  '--',
]

await main(process.argv[2])

async function main(folder: string | undefined): Promise<void> {
  if (!folder) throw new Error('node scripts/try-image.ts FOLDER')
  const root = join(resolve(folder), 'root')
  const environment = await build(root, resolve(folder))
  await checkPrograms(root, environment)
  await checkAsRoles(root, environment)
  await checkPlainRun(root, environment)
  console.log('The image does what it should.')
}

/** The Dockerfile's last stage, instruction by instruction. Gives its environment. */
async function build(root: string, folder: string): Promise<NodeJS.ProcessEnv> {
  if (!existsSync(join(root, 'usr/bin/apt-get'))) {
    await runProgram({ command: ['debootstrap', '--variant=minbase', 'bookworm', root, MIRROR] })
  }
  // What an earlier try has left.
  for (const left of ['usr/local/bin', 'usr/local/lib', 'opt/cellarium']) {
    await rm(join(root, left), { recursive: true, force: true })
  }
  for (const empty of ['usr/local/bin', 'usr/local/lib']) await mkdir(join(root, empty))
  const filled = join(folder, 'filled')
  if (!existsSync(filled)) {
    await using temporary = await temporaryFolder()
    await mkdir(filled)
    await fillFolder(filled, await packPackage(temporary.path), 'linux-x64')
  }
  const environment: NodeJS.ProcessEnv = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }
  for (const [instruction = '', rest = ''] of await lastStage()) {
    console.log(`${instruction} ${rest.slice(0, 100)}`)
    if (instruction === 'RUN') await inRoot(root, ['sh', '-c', rest], environment)
    if (instruction === 'COPY') await copy(root, filled, rest)
    if (instruction === 'ENV')
      Object.assign(environment, Object.fromEntries(rest.split(' ').map((pair) => pair.split('='))))
  }
  return environment
}

async function lastStage(): Promise<string[][]> {
  const text = await readFile(join(CHECKOUT, 'Dockerfile'), 'utf8')
  const stage = text.slice(text.lastIndexOf('\nFROM ') + 1)
  const lines = stage
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter(Boolean)
  return lines.slice(1).map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)])
}

async function copy(root: string, filled: string, what: string): Promise<void> {
  const paths = what.split(' ').filter((word) => !word.startsWith('--'))
  const to = join(root, paths.pop() ?? '')
  if (what.startsWith('--from=build')) return await cp(filled, to, { recursive: true })
  for (const path of paths) await cp(join(CHECKOUT, path), join(to, path.slice(path.lastIndexOf('/') + 1)))
}

function inRoot(root: string, command: readonly string[], environment: NodeJS.ProcessEnv): Promise<string> {
  return runProgram({ command: ['chroot', root, ...withEnvironment(environment), ...command] })
}

/** Set inside: what is preloaded there is not here. */
function withEnvironment(environment: NodeJS.ProcessEnv): readonly string[] {
  return ['/usr/bin/env', '-i', ...Object.entries(environment).map(([name, value]) => `${name}=${value ?? ''}`)]
}

async function checkPrograms(root: string, environment: NodeJS.ProcessEnv): Promise<void> {
  for (const name of ['cellarium', ...toolNames]) {
    const printed = await inRoot(
      root,
      [`/usr/local/bin/${name}`, name === 'cellarium' ? '--help' : '-help'],
      environment,
    )
    if (!printed.includes('Usage: cellarium')) throw new Error(`${name} printed ${printed}`)
  }
  for (const name of ['tini', 'ffmpeg', 'ffprobe', 'pdftoppm', 'djxl', 'heif-convert', 'sh', 'kill']) {
    await inRoot(root, ['sh', '-c', `command -v ${name}`], environment)
  }
  console.log('programs: all there, by their bare names')
}

/** As an orchestrator does: own mounts and process numbers, the root read-only but for /data and /tmp, no capabilities. */
function contained(
  root: string,
  folder: string,
  command: string,
  { user = [], environment }: { readonly user?: readonly string[]; readonly environment: NodeJS.ProcessEnv },
): readonly string[] {
  const mounts = [
    `mount --bind ${root} ${root} && mount -o remount,ro,bind ${root}`,
    `mount --bind ${folder}/data ${root}/data`,
    `mount -t tmpfs tmpfs ${root}/tmp && mount -t proc proc ${root}/proc`,
    `mount -t tmpfs tmpfs ${root}/media && mkdir ${root}/media/config && mount --bind ${folder}/config ${root}/media/config`,
    `mount -o remount,ro,bind ${root}/media/config`,
  ]
  const start = [
    'exec',
    'chroot',
    root,
    ...withEnvironment(environment),
    ...user,
    'sh',
    '-c',
    `'cd /data && exec ${command}'`,
  ].join(' ')
  return ['unshare', '--mount', '--pid', '--fork', '--kill-child=SIGKILL', 'sh', '-ec', [...mounts, start].join('\n')]
}

async function checkAsRoles(root: string, environment: NodeJS.ProcessEnv): Promise<void> {
  for (const [title, command] of [
    ['media_repo, which becomes tini as process 1', 'media_repo'],
    ['media_repo as process 1 itself', '/opt/cellarium/bin/media_repo'],
  ] as const) {
    const port = await freePort()
    await using folder = await temporaryFolder({ 'config/media-repo.yaml': configOn(port) })
    await mkdir(join(folder.path, 'data'))
    await chmod(folder.path, 0o755)
    await runProgram({ command: ['chown', `${SOMEBODY}:${SOMEBODY}`, join(folder.path, 'data')] })
    const more = { ...environment, REPO_CONFIG: '/media/config/media-repo.yaml' }
    await using outside = await startProgram({
      command: contained(root, folder.path, command, { user: NOBODY, environment: more }),
      endSignal: 'SIGKILL',
    })
    await untilReady(outside, async () => (await fetch(`http://127.0.0.1:${port}/healthz`)).ok)
    const first = await firstOf(outside)
    const maps = await readFile(`/proc/${first}/maps`, 'utf8')
    if (!maps.includes('libjemalloc')) throw new Error('jemalloc is not loaded')
    const status = await readFile(`/proc/${first}/status`, 'utf8')
    if (!/^CapEff:\s0+$/m.test(status) || !status.includes(`Uid:\t${SOMEBODY}`)) throw new Error(status)
    await writeFile(join(folder.path, 'config/media-repo.yaml'), configOn(port, 'other.example.org'))
    process.kill(first, 'SIGHUP')
    await eventually(async () => (await ask(port, 'other.example.org')) === 200)
    process.kill(first, 'SIGTERM')
    const { code } = await outside.ended
    if (code !== 0) throw new Error(`${title} ended with ${code}:\n${outside.lines.join('\n')}`)
    console.log(`${title}: serves without a name, capabilities and a root to write to; SIGHUP reloads, SIGTERM ends`)
  }
}

/** `docker run -v FOLDER:/data -e UID=… -e GID=…`: root at first. */
async function checkPlainRun(root: string, environment: NodeJS.ProcessEnv): Promise<void> {
  await using folder = await temporaryFolder({ 'data/old-file': 'of root', 'config/none': '' })
  await chmod(folder.path, 0o755)
  const owner = { UID: String(SOMEBODY), GID: String(SOMEBODY + 1) }
  await using outside = await startProgram({
    command: contained(root, folder.path, 'tini -- run.sh', { environment: { ...environment, ...owner } }),
    endSignal: 'SIGKILL',
  })
  await eventually(() => outside.lines.some((line) => /listens on|8000/.test(line)), 30_000)
  const owners = await runProgram({
    command: ['stat', '-c', '%u:%g %n', 'old-file', 'media-repo.yaml', '.'],
    folder: join(folder.path, 'data'),
  })
  const right = `${SOMEBODY}:${SOMEBODY + 1}`
  if (owners !== ['old-file', 'media-repo.yaml', '.'].map((name) => `${right} ${name}`).join('\n'))
    throw new Error(owners)
  const sample = await readFile(join(folder.path, 'data/media-repo.yaml'), 'utf8')
  if (!/^ {2}bindAddress: 0\.0\.0\.0$/m.test(sample))
    throw new Error('the sample does not listen outside the container')
  console.log('run.sh: wrote a sample, gave /data away, and serves as UID:GID')
}

/** The process that unshare runs as number 1. */
async function firstOf({ pid }: Program): Promise<number> {
  return Number((await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim())
}

function configOn(port: number, name = 'example.org'): string {
  return `repo: { bindAddress: 127.0.0.1, port: ${port}, logDirectory: "-" }
homeservers: [{ name: ${name}, csApi: "http://127.0.0.1:9" }]
datastores: [{ type: file, id: files, forKinds: [all], opts: { path: /data/media } }]
`
}

async function ask(port: number, host: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/_matrix/media/version`, {
    headers: { 'X-Forwarded-Host': host },
  })
  await answer.body?.cancel()
  return answer.status
}
