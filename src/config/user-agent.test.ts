import { describe, expect, test } from 'vitest'
import { load } from '../../test/support/config.ts'

const ONE = 'homeservers: [{name: example.org, csApi: "https://example.org/"}]\n'
const userAgent = async (options: string) =>
  (await load({ 'a.yaml': `${ONE}${options}` })).homeservers[0]?.urlPreviews.userAgent

describe('urlPreviews.userAgent', () => {
  test.each([
    ['robots of their kind', /^Mozilla\/5\.0 \(compatible; [\w.]+\/[\d.]+;/],
    ['a robot by most libraries, which look for this word', /bot\b/i],
    ['one that makes previews, by sites that know a few names only', /twitterbot/i],
    ['one that makes previews, by those that look for this word', /preview/i],
  ])('is known as %s', async (_, pattern) => {
    expect(await userAgent('')).toMatch(pattern)
  })

  test('is as it is configured, also as it was in matrix-media-repo', async () => {
    expect(await userAgent('urlPreviews: {userAgent: matrix-media-repo}')).toBe('matrix-media-repo')
  })
})
