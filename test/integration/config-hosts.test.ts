import { describe, expect, test } from 'vitest'
import { load } from '../support/config.ts'

describe('The host of a request', () => {
  test.each([
    ['example.org', 'example.org'],
    ['example.org:443', 'example.org'],
    ['EXAMPLE.org:8448', 'example.org'],
    ['ports.org:8448', 'ports.org:8448'],
    ['ports.org', undefined],
    ['ports.org:1', undefined],
    ['Case.org', 'Case.org'],
    ['case.org', 'Case.org'],
    ['[::1]:8448', '[::1]:8448'],
    ['[::1]', undefined],
    ['[2001:db8::1]', '[2001:db8::1]'],
    ['[2001:DB8::1]:443', '[2001:db8::1]'],
    ['1.2.3.4:5', '1.2.3.4'],
    ['', undefined],
    ['__proto__', undefined],
  ])('%j belongs to %j', async (host, name) => {
    const names = ['example.org', 'ports.org:8448', 'Case.org', '"[::1]:8448"', '"[2001:db8::1]"', '1.2.3.4']
    const text = `homeservers: [${names.map((each) => `{name: ${each.includes(':') && !each.startsWith('"') ? `"${each}"` : each}, csApi: "http://x"}`).join(', ')}]`
    expect((await load({ 'a.yaml': text })).forHost(host)?.name).toBe(name)
  })
})
