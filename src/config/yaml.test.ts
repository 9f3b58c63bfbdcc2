import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { placeOf, plain } from './tree.ts'
import { parseYaml } from './yaml.ts'

const values = (text: string) => plain(parseYaml('a.yaml', text).tree)

describe('A configuration file', () => {
  test('says on which line it sets what', () => {
    const { tree } = parseYaml('a.yaml', 'repo:\n  port: 1\nadmins:\n  - "@a:x"\n  - "@b:x"\n')
    expect(placeOf(tree, ['repo', 'port'])).toEqual({ file: 'a.yaml', line: 2 })
    expect(placeOf(tree, ['admins', 1])).toEqual({ file: 'a.yaml', line: 5 })
  })

  test('may be empty, or hold comments only', () => {
    expect(values('')).toEqual({})
    expect(values('# nothing\n---\n')).toEqual({})
  })

  test('keeps digits as they were written where a number would lose some', () => {
    expect(values('a: 0123\nb: 12345678901234567890123\nc: 12\nd: "12"\ne: 1.50\n')).toEqual({
      a: '0123',
      b: '12345678901234567890123',
      c: 12,
      d: '12',
      e: '1.50',
    })
  })

  test('may use anchors and merge keys', () => {
    expect(values('x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\nz: [*x]\n')).toEqual({
      x: { a: 1, b: 2 },
      y: { a: 1, b: 3 },
      z: [{ a: 1, b: 2 }],
    })
  })

  test.each([
    ['a: 1\na: 2\n', 'a.yaml:2: is not valid YAML'],
    ['a: [1,\nb: 2\n', 'a.yaml:2: is not valid YAML'],
    ['- a\n', 'a.yaml:1: must be a map'],
    ['a: *nowhere\n', 'a.yaml:1: the anchor nowhere is not defined'],
    ['\na: &a\n  - *a\n', 'a.yaml:3: the anchor a contains itself'],
  ])('that is broken is refused with its line: %j', (text, problem) => {
    expect(parseYaml('a.yaml', text).problems[0]).toContain(problem)
  })

  test('whose aliases explode is refused', () => {
    const levels = Array.from({ length: 9 }, (_, level) =>
      level === 0
        ? 'l0: &l0 [x]'
        : `l${level}: &l${level} [${Array.from({ length: 10 }, () => `*l${level - 1}`).join(', ')}]`,
    )
    expect(parseYaml('a.yaml', levels.join('\n')).problems[0]).toContain('too many values')
  })

  test('with several documents is read up to the first one’s end, with a warning', () => {
    const { tree, warnings } = parseYaml('a.yaml', 'a: 1\n---\nb: 2\n')
    expect(plain(tree)).toEqual({ a: 1 })
    expect(warnings).toEqual(['a.yaml: only the first of its 2 documents is read'])
  })

  test('never makes the reader fail, whatever is in it', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'a: -\n[]{}&*#"\'|>!%@`,?'.split('')) })),
        (text) => {
          const { tree, problems } = parseYaml('a.yaml', text)
          expect(tree.kind).toBe('map')
          for (const problem of problems) expect(problem).toMatch(/^a\.yaml(:\d+)?: /)
        },
      ),
    )
  })
})
