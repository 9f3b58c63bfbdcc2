import { DIFFERENCES, INTRODUCTION } from './manual-text.ts'
import type { Shape } from './shape.ts'
import { mainShape } from './shape.ts'

/** docs/configuration.md: how files are found and laid over each other, every option, and what differs from MMR. */
export function configManual(): string {
  const sections = [...mainShape().children].map(([key, shape]) => {
    const rows =
      shape.kind === 'section'
        ? [...shape.children].flatMap(([name, child]) => optionRows(`${key}.${name}`, child))
        : optionRows(key, shape)
    return `### ${key}\n\n${shape.description}\n\n${TABLE_HEAD}\n${rows.join('\n')}\n`
  })
  return `${INTRODUCTION}\n## Options\n\n${LEGEND}\n\n${sections.join('\n')}\n${DIFFERENCES}`
}

const TABLE_HEAD = '| key | type | default | change | per domain | meaning |\n|---|---|---|---|---|---|'

const LEGEND = `*change*: \`live\` is followed while running, \`restart\` after a restart; a reload logs which of the changed options are which.
*per domain*: may stand in a per-domain file. Options that are accepted for MMR's sake and do nothing say why; \`cellarium config
check\` lists those that you have set. Sizes are in bytes.`

function optionRows(path: string, shape: Shape): string[] {
  if (shape.kind === 'section')
    return [...shape.children].flatMap(([key, child]) => optionRows(`${path}.${key}`, child))
  const own = row(path, shape)
  if (shape.kind === 'list' && shape.item.kind === 'section') {
    return [own, ...[...shape.item.children].flatMap(([key, child]) => optionRows(`${path}[].${key}`, child))]
  }
  const known = Object.entries(shape.notes.known ?? {}).map(([key, { description, default: value = '' }]) =>
    cells(`${path}.${key}`, 'text', value, shape, description),
  )
  return [own, ...known]
}

function row(path: string, shape: Shape): string {
  const { noEffect } = shape.notes
  const why = noEffect === undefined ? '' : ` *(${noEffect})*`
  const value = shape.default === undefined ? '' : JSON.stringify(shape.default)
  return cells(path, typeName(shape), value === '""' ? '' : value, shape, shape.description + why)
}

function cells(path: string, type: string, value: string, shape: Shape, meaning: string): string {
  const { reload = 'live', scope } = shape.notes
  const shown = value === '' ? '' : `\`${value}\``
  return `| \`${path}\` | ${type} | ${shown} | ${reload} | ${scope === 'any' ? 'yes' : ''} | ${meaning} |`
}

function typeName(shape: Shape): string {
  if (shape.kind === 'list') return shape.item.kind === 'value' && shape.item.type === 'text' ? 'list of text' : 'list'
  return shape.kind === 'value' ? shape.type : 'map'
}
