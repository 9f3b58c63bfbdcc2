import { describe, expect, test } from 'vitest'
import type { RedirectRules } from '../datastores/datastore.ts'
import { linkTo } from './download.ts'

const OBJECT = { sha256: 'a', size: 1, datastore: 'main', location: 'x' }
const PRESENTED = { contentType: 'image/png', disposition: 'inline' }
const LINK = new URL('https://bucket.example/x')

/** A datastore that gives one link to whoever may have it by the administrator's rules. */
async function linked(options: {
  readonly whenCached: boolean
  readonly isCached?: boolean
  readonly allowed?: boolean
}) {
  const { whenCached, isCached, allowed = true } = options
  const datastores = {
    link: (_place: unknown, present: () => unknown, may: (rules: RedirectRules) => boolean) =>
      may({ whenCached, federation: false }) && present() === PRESENTED ? Promise.resolve(LINK) : undefined,
  }
  const parts = isCached === undefined ? { datastores } : { datastores, isCached: () => isCached }
  return await linkTo(
    parts,
    OBJECT,
    () => PRESENTED,
    () => allowed,
  )
}

describe('The address of an object', () => {
  test('is given where no cache has it', async () => {
    expect(await linked({ whenCached: false })).toBe(LINK)
    expect(await linked({ whenCached: false, isCached: false })).toBe(LINK)
  })

  test('is not given where a cache sends it sooner, unless redirectWhenCached says so', async () => {
    expect(await linked({ whenCached: false, isCached: true })).toBeUndefined()
    expect(await linked({ whenCached: true, isCached: true })).toBe(LINK)
  })

  test('is not given to who may not be redirected', async () => {
    expect(await linked({ whenCached: true, isCached: true, allowed: false })).toBeUndefined()
    expect(await linked({ whenCached: false, allowed: false })).toBeUndefined()
  })
})
