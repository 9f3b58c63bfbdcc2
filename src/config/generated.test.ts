import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { temporaryFolder } from '../../test/support/folder.ts'
import { configJsonSchema } from './json-schema.ts'
import { loadConfig } from './load.ts'
import { configManual } from './manual.ts'
import { sampleConfig } from './sample.ts'
import type { Shape } from './shape.ts'
import { mainShape } from './shape.ts'

const HINT = 'run: node scripts/generate-config-docs.ts'
const committed = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')

describe('What is generated from the schema', () => {
  test('the committed sample is the generated one', async () => {
    expect(await committed('config.sample.yaml'), HINT).toBe(sampleConfig())
  })

  test('the committed manual is the generated one', async () => {
    expect(await committed('docs/configuration.md'), HINT).toBe(configManual())
  })

  test('the sample is usable as it stands, without a warning', async () => {
    await using folder = await temporaryFolder({ 'sample.yaml': sampleConfig() })
    const { homeservers, warnings } = await loadConfig({ path: `${folder.path}/sample.yaml` })
    expect(homeservers.map(({ name }) => name)).toEqual(['example.org'])
    expect(warnings).toEqual([])
  })

  test('every option of the sample can be taken out of its comment', async () => {
    const all = sampleConfig().replaceAll(/^( *)#(?! \S)/gm, '$1')
    await using folder = await temporaryFolder({ 'sample.yaml': all })
    const { main, warnings } = await loadConfig({ path: `${folder.path}/sample.yaml` })
    expect(warnings).toEqual([])
    expect(Object.keys(Object(parse(all)))).toEqual(Object.keys(main))
    expect(main.datastores[0]?.opts).toEqual({ path: '/data/media' })
    expect(main.uploads.quotas.users[0]?.glob).toBe('@*:*')
  })

  test('every option has a description', () => {
    const without = [...mainShape().children].flatMap(([key, shape]) => undescribed(key, shape))
    expect(without).toEqual([])
  })

  test('the JSON Schema demands only what has no default', () => {
    const schema = configJsonSchema()
    expect(schema).not.toHaveProperty('required')
    expect(schema).toMatchObject({
      properties: {
        homeservers: { items: { required: ['name', 'csApi'] } },
        repo: { properties: { port: { default: 8000 } } },
      },
    })
  })
})

function undescribed(path: string, shape: Shape): string[] {
  const own = shape.description === '' ? [path] : []
  return [...own, ...children(shape).flatMap(([key, child]) => undescribed(`${path}.${key}`, child))]
}

function children(shape: Shape): (readonly [string, Shape])[] {
  if (shape.kind === 'section') return [...shape.children]
  return shape.kind === 'list' && shape.item.kind === 'section' ? [...shape.item.children] : []
}
