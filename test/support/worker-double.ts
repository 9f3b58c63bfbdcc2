import { writeFile } from 'node:fs/promises'
import type { WorkerAnswer, WorkerTask } from '../../src/thumbnails/worker.ts'

/**
 * A thumbnail worker that does what the job's first type says, for what no real file does reliably. It always writes
 * the target first: its own process id.
 */
const behaviours: Readonly<Record<string, (task: WorkerTask) => void>> = {
  'answer at once': ({ job }) => done(job.width, job.height),
  'work for a while': ({ job }) => void setTimeout(() => done(job.width, job.height), 100),
  'work for ever': () => {},
  'spin for ever': () => {
    // Not quite for ever: a test that fails must not leave a process that spins.
    for (const end = Date.now() + 30_000; Date.now() < end;);
  },
  crash: () => process.abort(),
  exit: () => process.exit(3),
  'answer with a defect': () => answer({ kind: 'failed', message: 'a defect', stack: 'at work' }),
  'tell about itself': () => {
    const seen = { environment: Object.keys(process.env), folder: process.cwd(), arguments: process.execArgv }
    answer({
      kind: 'done',
      generated: { kind: 'original', contentType: JSON.stringify(seen), width: 1, height: 1 },
      residentBytes: 0,
    })
  },
}

function answer(message: WorkerAnswer): void {
  process.send?.(message)
}

function done(width: number, height: number): void {
  const contentType = String(process.pid)
  answer({
    kind: 'done',
    generated: { kind: 'thumbnail', contentType, width, height, bytes: 1 },
    residentBytes: process.memoryUsage.rss(),
  })
}

process.on('disconnect', () => process.exit())
process.on('message', (task: WorkerTask) => {
  void writeFile(task.job.target, String(process.pid)).then(() => behaviours[task.job.types[0] ?? '']?.(task))
})
answer({ kind: 'ready' })
