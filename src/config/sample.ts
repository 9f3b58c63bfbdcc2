import { stringify } from 'yaml'
import type { ListShape, SectionShape, Shape } from './shape.ts'
import { mainShape } from './shape.ts'

const HEAD = `# Configuration of Cellarium.
#
# Everything is optional. What is commented out shows the default, or an example where the default would show nothing:
# take the "#" away (and nothing else) to set it. docs/configuration.md says more, among other things how to spread this over
# several files. Try it with: cellarium config check --config FILE
`

/** Sections that a first reader wants to see filled in. */
const ACTIVE = new Set(['homeservers'])

/** The commented sample: every option with its meaning and its default. */
export function sampleConfig(): string {
  const parts = [...mainShape().children].map(([key, shape]) => {
    const about = comment(shape.description, 0)
    if (shape.kind === 'section') return [...about, `${key}:`, ...members(shape, 2, '#')]
    return [...about, ...entry(key, shape, 0, ACTIVE.has(key) ? '' : '#')]
  })
  return `${HEAD}\n${parts.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

function members(section: SectionShape, indent: number, off: string): string[] {
  return [...section.children].flatMap(([key, shape]) => {
    const about = comment(shape.description + remark(shape), indent)
    if (shape.kind !== 'section') return [...about, ...entry(key, shape, indent, off)]
    return [...about, `${' '.repeat(indent)}${key}:`, ...members(shape, indent + 2, off)]
  })
}

/** One option. `off` is the "#" in front of what is commented out, or nothing. */
function entry(key: string, shape: Shape, indent: number, off: string): string[] {
  const space = ' '.repeat(indent)
  if (shape.kind === 'list' && shape.item.kind === 'section')
    return [`${space}${off}${key}:`, ...listItem(shape, indent, off)]
  const value = shape.notes.example ?? shape.default
  return [`${space}${off}${key}: ${flow(value)}`]
}

/** One example of a list of maps, its members explained; in an active one only what is needed stands without "#". */
function listItem(list: ListShape, indent: number, off: string): string[] {
  if (list.item.kind !== 'section') return []
  return [...list.item.children].flatMap(([key, shape], index) => {
    if (shape.kind === 'list' && shape.item.kind === 'section') return []
    const about = comment(shape.description + remark(shape), indent + 4)
    if (shape.kind === 'section') {
      return [...about, `${' '.repeat(indent)}${off}    ${key}:`, ...sectionOfItem(shape, indent, off)]
    }
    const optional = off === '' && shape.default !== undefined ? '#' : ''
    const line = `${index === 0 ? '  - ' : '    '}${optional}${key}: ${flow(shape.notes.example ?? shape.default)}`
    return [...about, ' '.repeat(indent) + off + line]
  })
}

function sectionOfItem(section: SectionShape, indent: number, off: string): string[] {
  return [...section.children].flatMap(([key, shape]) => [
    ...comment(shape.description + remark(shape), indent + 6),
    `${' '.repeat(indent)}${off}      ${off === '' ? '#' : ''}${key}: ${flow(shape.notes.example ?? shape.default)}`,
  ])
}

function remark(shape: Shape): string {
  const { noEffect, reload } = shape.notes
  if (noEffect !== undefined) return ` (${noEffect}.)`
  return reload === 'restart' ? ' (Restart to change.)' : ''
}

function comment(text: string, indent: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && indent + last.length + word.length < 118) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(`# ${word}`)
  }
  return text === '' ? [] : lines.map((line) => ' '.repeat(indent) + line)
}

/** A value on one line. */
function flow(value: unknown): string {
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: false }).trim()
}
