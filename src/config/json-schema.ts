import { z } from 'zod'
import { mainSchema } from './schema.ts'

/**
 * The JSON Schema of the main configuration, for editors. Everything that has a default may be left out. (The loader takes a
 * little more than this says: quoted numbers, null for "not set", and unknown keys with a warning.)
 */
export function configJsonSchema(): Record<string, unknown> {
  return {
    title: 'Cellarium configuration',
    ...z.toJSONSchema(mainSchema, {
      unrepresentable: 'any',
      override: ({ jsonSchema }) => {
        for (const key of ['scope', 'secret', 'example', 'known', 'reload', 'noEffect'])
          Reflect.deleteProperty(jsonSchema, key)
        const { required, properties = {} } = jsonSchema
        if (required === undefined) return
        jsonSchema.required = required.filter((name) => !hasDefault(properties[name]))
        if (jsonSchema.required.length === 0) delete jsonSchema.required
      },
    }),
  }
}

/** Sections count too: all their options have defaults. */
function hasDefault(property: unknown): boolean {
  if (typeof property !== 'object' || property === null) return false
  return 'default' in property || ('properties' in property && !('required' in property))
}
