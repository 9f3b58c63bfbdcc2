import type { z } from 'zod'
import type { Shape } from './shape.ts'
import { isSecret, shapeAt } from './shape.ts'
import type { Node, Path } from './tree.ts'
import { located, placeOf } from './tree.ts'

/** What zod found, as lines for an administrator: where it was set, what is wrong, and what would be right. */
export function problemLines(error: z.ZodError, tree: Node, shape: Shape): string[] {
  return error.issues.map((issue) => {
    const path = issue.path.map((step) => (typeof step === 'symbol' ? step.toString() : step))
    return located(placeOf(tree, path), path, sentence(issue, shape, path))
  })
}

function sentence(issue: z.core.$ZodIssue, shape: Shape, path: Path): string {
  const option = shapeAt(shape, path)
  if (issue.code === 'invalid_type') {
    if (issue.input === undefined) return `is missing: ${option?.description ?? ''}`
    const right = option?.kind === 'value' ? option.type : issue.expected
    return `must be ${IN_WORDS[right] ?? right}${found(issue, shape, path)}`
  }
  if (issue.code === 'custom') {
    return issue.params?.['complete'] === true ? issue.message : `must be ${issue.message}${found(issue, shape, path)}`
  }
  if (issue.code === 'too_small' && issue.origin === 'array') return 'must not be empty'
  const limit = limitOf(issue)
  return limit === undefined ? issue.message : `must be ${limit}${found(issue, shape, path)}`
}

const IN_WORDS: Readonly<Record<string, string>> = {
  'whole number': 'a whole number',
  number: 'a number',
  array: 'a list',
  object: 'a map of options (key: value)',
  record: 'a map (key: value)',
  string: 'text',
}

function limitOf(issue: z.core.$ZodIssue): string | undefined {
  if (issue.code === 'invalid_value') return `one of ${issue.values.map(String).join(', ')}`
  if (issue.code === 'too_small') return `at least ${issue.minimum}`
  return issue.code === 'too_big' ? `at most ${issue.maximum}` : undefined
}

function found(issue: z.core.$ZodIssue, shape: Shape, path: Path): string {
  return isSecret(shape, path) ? '' : `, is ${shown(issue.input)}`
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? 'a map' : JSON.stringify(value)
}
