/**
 * Sums up vitest's JSON report for `.ci/run`: prints "PASSED FAILED SKIPPED". A file that failed before any of its tests could
 * counts as one failed test, so that it does not look as if nothing were wrong.
 */
import { readFile } from 'node:fs/promises'

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly {
    readonly status: string
    readonly assertionResults: readonly { readonly status: string }[]
  }[]
}

const [file] = process.argv.slice(2)
if (!file) throw new Error('usage: count-tests.ts REPORT.json')
const report: Report = JSON.parse(await readFile(file, 'utf8'))
const brokenFiles = report.testResults.filter(
  ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
)
const failed = report.numFailedTests + brokenFiles.length
console.log(`${report.numPassedTests} ${failed} ${report.numPendingTests + report.numTodoTests}`)
