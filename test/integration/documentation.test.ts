/** What the documentation tells administrators to type, and where it sends them. */
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { commandsIn, refusalOf } from '../support/documented-commands.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

async function pages(): Promise<ReadonlyMap<string, string>> {
  const below = await readdir(join(ROOT, 'docs'), { recursive: true })
  const names = [...below.map((name) => join('docs', name)), 'README.md', 'CONTRIBUTING.md', 'CHANGELOG.md']
  const texts = names.filter((name) => name.endsWith('.md')).map(async (name) => [name, await text(name)] as const)
  return new Map(await Promise.all(texts))
}

const text = async (name: string) => await readFile(join(ROOT, name), 'utf8')

/** As Markdown's renderers make them of headings. */
function anchorsOf(page: string): ReadonlySet<string> {
  const headings = page.replaceAll(/^ *```.*?^ *```$/gms, '').matchAll(/^#+ (.*)$/gm)
  const anchors = [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
  return new Set(anchors)
}

describe('The documentation', () => {
  test('has only commands that the program takes', async () => {
    const commands = [...(await pages()).values()].flatMap(commandsIn)
    const refusals = await Promise.all(commands.map(refusalOf))
    expect(refusals.filter((refusal) => refusal !== undefined)).toEqual([])
    expect(commands.filter(({ isWhole }) => isWhole).length).toBeGreaterThan(30)
  })

  test('has only links that lead somewhere', async () => {
    const all = await pages()
    const links = [...all].flatMap(([from, page]) =>
      [...page.matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].map(([, path = '', anchor]) => {
        const to = path === '' ? from : relative(ROOT, join(ROOT, dirname(from), path))
        return { from, to, anchor }
      }),
    )
    const dead = links.filter(({ to, anchor }) => {
      const page = all.get(to)
      if (page === undefined) return !existsSync(join(ROOT, to))
      return anchor !== undefined && !anchorsOf(page).has(anchor)
    })
    expect(dead).toEqual([])
    expect(links.length).toBeGreaterThan(100)
  })
})

test('A command that the program does not take is noticed', async () => {
  const page =
    '```sh\ncellarium import synapse --nonsense   # why\ncellarium restore\n```\nand `cellarium restore` is `cellarium fly`'
  const refusals = await Promise.all(commandsIn(page).map(refusalOf))
  expect(refusals).toEqual([
    expect.stringContaining("unknown option '--nonsense'"),
    expect.stringContaining('missing required argument'),
    undefined,
    expect.stringContaining('fly'),
  ])
})
