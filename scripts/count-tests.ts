/**
 * Sums up vitest's JSON report for `.ci/run`: prints "PASSED FAILED SKIPPED". A file that failed before any of its tests could
 * counts as one failed test, so that it does not look as if nothing were wrong. Tests that passed only when they were tried
 * again are named on standard error, with how they failed first.
 */
import { readFile } from 'node:fs/promises'
import { relative } from 'node:path'

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

const [file] = process.argv.slice(2)
if (!file) throw new Error('usage: count-tests.ts REPORT.json')
const report: Report = JSON.parse(await readFile(file, 'utf8'))
const brokenFiles = report.testResults.filter(
  ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
)
const failed = report.numFailedTests + brokenFiles.length
for (const { name, assertionResults } of report.testResults) {
  for (const test of assertionResults) {
    if (test.status !== 'passed' || test.failureMessages.length === 0) continue
    console.error(`Passed only when tried again: ${relative('.', name)}: ${test.fullName}`)
    console.error(`  ${test.failureMessages.join('\n').replaceAll('\n', '\n  ')}`)
  }
}
console.log(`${report.numPassedTests} ${failed} ${report.numPendingTests + report.numTodoTests}`)
