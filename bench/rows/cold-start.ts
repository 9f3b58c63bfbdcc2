import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Server } from '../../test/support/server.ts'
import { pinned, SERVER_CORE } from '../cores.ts'
import { type Comparison, median } from '../in-turn.ts'
import type { Aim, Row } from '../row.ts'
import { openStage } from '../stage.ts'

const STARTS = 5
const GIVE_UP_MS = 30_000
const CELLARIUM = fileURLToPath(new URL('../../bin/cellarium.js', import.meta.url))

/** From the start of the process to the first 200 of `/healthz`, with the database and Node's cache of an earlier start. */
export function coldStart({ name, aim }: { readonly name: string; readonly aim: Aim }): Row {
  return {
    name,
    title: `start: from exec to the first answer, median of ${STARTS}`,
    unit: 'ms',
    aim,
    async measure(setting): Promise<Comparison> {
      await using stage = await openStage(setting)
      await stage.server.stop()
      const times: number[] = []
      for (let start = 0; start < STARTS; start++) times.push(await timeStart(stage.server))
      return { value: median(times), lowest: Math.min(...times), highest: Math.max(...times) }
    },
  }
}

/** Starts it once more with the same configuration; gives ms. */
async function timeStart({ configFile, folder, port }: Server): Promise<number> {
  const began = performance.now()
  const [taskset, ...core] = pinned(SERVER_CORE)
  const args = [...core, process.execPath, CELLARIUM, 'serve', '--config', configFile]
  const child = spawn(taskset, args, { cwd: folder, stdio: 'ignore' })
  try {
    while (!(await isHealthy(port))) {
      if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`)
      if (performance.now() - began > GIVE_UP_MS) throw new Error(`no answer after ${GIVE_UP_MS} ms`)
      await pause(2)
    }
    return performance.now() - began
  } finally {
    await end(child)
  }
}

/** Not by `fetch`, which remembers connections and takes its time. */
function isHealthy(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const asking = request({ host: '127.0.0.1', port, path: '/healthz', agent: false }, (answer) => {
      answer.resume()
      resolve(answer.statusCode === 200)
    })
    asking.on('error', () => resolve(false))
    asking.end()
  })
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const ended = once(child, 'exit')
  child.kill()
  await ended
}
