import { closeSync, openSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { openOutput } from './log-output.ts'

let folder: string
let descriptor: number
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cellarium-output-'))
  path = join(folder, 'log')
  descriptor = openSync(path, 'a')
})

afterEach(async () => {
  closeSync(descriptor)
  await rm(folder, { recursive: true, force: true })
})

test('lines are on their way within the time they may wait for company', async () => {
  const output = openOutput(descriptor, { gatherMs: 5 })
  output.write('one\n')
  output.write('two\n')
  await expect.poll(() => readFileSync(path, 'utf8')).toBe('one\ntwo\n')
  await output.close()
})

test('closing waits until everything is written, in order', async () => {
  const output = openOutput(descriptor, { batchLength: 10 })
  const lines = Array.from({ length: 10_000 }, (_, number) => `line ${number}\n`)
  for (const line of lines) output.write(line)
  await output.close()
  expect(readFileSync(path, 'utf8')).toBe(lines.join(''))
})

test('a slow reader cannot fill the memory: lines over the limit are dropped and counted', async () => {
  const dropped: number[] = []
  const output = openOutput(descriptor, { maxLength: 10, onDropped: (lines) => dropped.push(lines) })
  for (let line = 0; line < 5; line += 1) output.write('four\n')
  await output.close()
  expect(readFileSync(path, 'utf8')).toBe('four\nfour\n')
  expect(dropped).toEqual([3])
})

test('a descriptor that cannot be written is told once, not for each line, and nothing throws', async () => {
  const readOnly = openSync(path, 'r')
  const errors: Error[] = []
  const output = openOutput(readOnly, { batchLength: 1, onError: (error) => errors.push(error) })
  output.write('one\n')
  await expect.poll(() => errors.length).toBe(1)
  output.write('two\n')
  output.write('three\n')
  await output.close()
  expect(errors).toHaveLength(1)
  closeSync(readOnly)
})
