import { join } from 'node:path'
import { createRequire } from 'node:module'
import { describe, expect, test } from 'vitest'
import { problems } from '../../test/support/config.ts'
import { temporaryFolder } from '../../test/support/folder.ts'
import { readOEmbedProviders } from './oembed-providers.ts'

const ONE = 'homeservers: [{name: example.org, csApi: "https://example.org/"}]\n'

describe('urlPreviews.oEmbedProviders', () => {
  test.each([
    ['[{"provider_name": "P", "endpoints": []}]', '[0].endpoints: must not be empty'],
    ['[{"provider_name": "P"}]', '[0].endpoints: is missing'],
    [
      '[{"endpoints": [{"url": "ftp://x/"}]}]',
      '[0].endpoints[0].url: must be an address like https://example.org/oembed',
    ],
    ['[{"endpoints": [{"url": "https://x/{id}"}]}]', '[0].endpoints[0].url: must be an address like'],
    [
      '[{"endpoints": [{"url": "https://x/", "schemes": ["https://*.com/*"]}]}]',
      '[0].endpoints[0].schemes[0]: must be an address like',
    ],
    ['[{"endpoints": [{"url": "https://x/", "schemes": "https://x/*"}]}]', '[0].endpoints[0].schemes: must be a list'],
    ['{}', 'the whole: must be a list'],
    ['[', 'is not JSON'],
  ])('of %s refuses the configuration', async (text, expected) => {
    await using folder = await temporaryFolder({ 'p.json': text })
    const file = join(folder.path, 'p.json')
    const found = await problems({ 'a.yaml': `${ONE}urlPreviews: {oEmbedProviders: ${file}}` })
    expect(found).toHaveLength(1)
    expect(found[0]).toContain(`urlPreviews.oEmbedProviders: ${file}: ${expected}`)
  })

  test('that does not exist refuses the configuration, also of one homeserver', async () => {
    const domain = 'homeserver: example.org\nurlPreviews: {oEmbedProviders: /nowhere/p.json}\n'
    expect(await problems({ 'a.yaml': ONE, 'b.yaml': domain })).toEqual([
      'urlPreviews.oEmbedProviders: /nowhere/p.json: does not exist',
    ])
  })

  test('may be the list of oembed.com, as it is', async () => {
    const list = await readOEmbedProviders(createRequire(import.meta.url).resolve('oembed-providers'))
    expect(list.length).toBeGreaterThan(300)
  })
})
