#!/usr/bin/env node
// Starts Cellarium on the Node it needs. Plain JavaScript that old Node versions can parse, because its first task is to
// tell a Node that is too old. In a checkout it runs the TypeScript sources, in the published package dist/.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { Socket } from 'node:net'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import * as v8 from 'node:v8'

const NEEDED = 24
/** The descriptor that tells a program started by a launcher that the launcher is gone. */
const LAUNCHER_PIPE = 'CELLARIUM_LAUNCHER_PIPE'

if (!existsSync(fileURLToPath(new URL('../build/kysely.js', import.meta.url)))) {
  console.error('build/kysely.js is missing, because the installation ran no scripts: make it with npm run prepare')
  process.exitCode = 1
} else if (Number(process.versions.node.split('.')[0]) >= NEEDED) {
  // Syncs to disk wait in libuv's pool; four threads (its default) would make uploads wait for each other's disk.
  if (!process.env.UV_THREADPOOL_SIZE) process.env.UV_THREADPOOL_SIZE = '16'
  endWithLauncher()
  endOnSignals()
  hideSqliteNotice()
  keepCompiled()
  // What loading the program leaves behind would blow the young generation up for good; requests may grow it again.
  v8.setFlagsFromString('--semi-space-growth-factor=1')
  const source = new URL('../src/main.ts', import.meta.url)
  const built = new URL('../dist/main.js', import.meta.url)
  const { main } = await import(existsSync(fileURLToPath(source)) ? source.href : built.href)
  await main(process.argv)
} else {
  const own = nodeFromPackage()
  if (own) runWith(own)
  else {
    console.error(
      `Cellarium needs Node.js ${NEEDED} or newer (this is ${process.version}): install it from nodejs.org.`,
    )
    process.exitCode = 1
  }
}

/**
 * Whoever kills the launcher means the server: without this it would go on, with nobody's hand on it, and keep port and leases.
 * Waiting for a pipe to close costs nothing and keeps no process alive.
 */
function endWithLauncher() {
  const fd = Number(process.env[LAUNCHER_PIPE])
  // Not for the processes that this one starts.
  delete process.env[LAUNCHER_PIPE]
  if (!(fd > 2)) return
  const pipe = new Socket({ fd, readable: true, writable: false })
  pipe.on('error', () => {})
  pipe.on('close', () => process.kill(process.pid, 'SIGTERM'))
  pipe.resume().unref()
}

/**
 * As a container's first process: the kernel has no defaults for its signals, and drops what nobody handles yet. Elsewhere, and where
 * a command has handlers of its own, this does nothing.
 */
function endOnSignals() {
  if (process.pid !== 1) return
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      if (process.listenerCount(signal) === 1) process.exit(128 + constants.signals[signal])
    })
  }
}

/**
 * Keeps compiled code for the next start, here and in threads. Beside the program, where only its owner can write: whoever could
 * write there could run what they like anyway. Where even the owner cannot, each start compiles anew.
 */
function keepCompiled() {
  const folder = fileURLToPath(new URL('../node_modules/.cache/node-compile', import.meta.url))
  const { status } = nodeModule.enableCompileCache(folder)
  if (status === nodeModule.constants.compileCacheStatus.ENABLED) process.env.NODE_COMPILE_CACHE = folder
}

/** Node's SQLite announces itself as experimental at each start; that line would only worry an administrator. */
function hideSqliteNotice() {
  const emitWarning = process.emitWarning.bind(process)
  process.emitWarning = (warning, ...rest) => {
    if (!String(warning).startsWith('SQLite is an experimental feature')) emitWarning(warning, ...rest)
  }
}

/** The Node that came with the dependencies, for a machine whose own is too old. */
function nodeFromPackage() {
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const file = process.platform === 'win32' ? 'bin/node.exe' : 'bin/node'
  try {
    const require = nodeModule.createRequire(import.meta.url)
    return require.resolve(`node-${platform}-${process.arch}/${file}`)
  } catch {
    return undefined
  }
}

/** Runs the same command with another Node. It holds the other end of a pipe, which the kernel closes however this process ends. */
function runWith(node) {
  const child = spawn(node, process.argv.slice(1), {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, [LAUNCHER_PIPE]: '3' },
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    process.exitCode = signal ? 1 : code
  })
}
