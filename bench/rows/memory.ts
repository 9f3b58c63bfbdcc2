import { setTimeout as pause } from 'node:timers/promises'
import { peakDuring, residentMib } from '../memory.ts'
import { type Aim, type Row, sizeName } from '../row.ts'
import { openStage } from '../stage.ts'

const SETTLE_MS = 3000

/** Resident memory of a server that has just started and has nothing to do. */
export function idleMemory({ name, aim }: { readonly name: string; readonly aim: Aim }): Row {
  return {
    name,
    title: 'memory of the idle server',
    unit: 'MiB',
    aim,
    async measure(setting) {
      await using stage = await openStage(setting)
      await pause(SETTLE_MS)
      const value = await residentMib(stage.server.pid)
      return { value, lowest: value, highest: value }
    },
  }
}

export interface UploadMemoryRow {
  readonly name: string
  readonly bytes: number
  readonly connections: number
  readonly aim: Aim
}

/** What uploads at the same time add to the memory of an idle server, at their peak. */
export function uploadMemory({ name, bytes, connections, aim }: UploadMemoryRow): Row {
  return {
    name,
    title: `memory added by ${connections} uploads of ${sizeName(bytes)} at once`,
    unit: 'MiB',
    aim,
    async measure(setting) {
      await using stage = await openStage(setting)
      await pause(SETTLE_MS)
      const { before, most, mostWithChildren } = await peakDuring(stage.server.pid, () =>
        stage.uploadMany({ bytes, connections, until: { uploads: connections } }),
      )
      const value = most - before
      const note = `from ${before.toFixed(0)} to ${most.toFixed(0)}, with child processes ${mostWithChildren.toFixed(0)}`
      return { value, lowest: value, highest: value, note }
    },
  }
}
