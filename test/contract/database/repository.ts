import { describe, expect, test } from 'vitest'
import { repositoryId } from '../../../src/db/repository.ts'
import { close, many, type OpenDatabase, pick } from './support.ts'

export function repositoryContract(open: OpenDatabase): void {
  describe('The id of a repository', () => {
    test('is the same for all its instances, also for those that start at once, and stays', async () => {
      await using under = await open()
      const dbs = [under.db, await under.another(), await under.another()]
      const ids = await Promise.all(
        many(12, (index) => pick(dbs, index).write(repositoryId, { candidate: `candidate ${index}` })),
      )
      expect(new Set(ids).size).toBe(1)
      expect(ids[0]).toMatch(/^candidate \d+$/)
      expect(await under.db.write(repositoryId, { candidate: 'late' })).toBe(ids[0])
      await close(dbs)
    })
  })
}
