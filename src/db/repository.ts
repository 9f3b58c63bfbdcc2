import { unit } from './query.ts'

/** The id of the repository that this database is, the same for all its instances: `candidate` becomes it if there is none. */
export const repositoryId = unit('repositoryId', async (tx, { candidate }: { candidate: string }): Promise<string> => {
  await tx
    .insertInto('repository')
    .values({ key: 'id', value: candidate })
    .onConflict((conflict) => conflict.column('key').doNothing())
    .execute()
  const row = await tx.selectFrom('repository').select('value').where('key', '=', 'id').executeTakeFirstOrThrow()
  return row.value
})
