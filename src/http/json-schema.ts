/** Short ways to write the JSON Schemas of answers. */
import type { JsonSchema } from './parameters.ts'

type Schemas = Readonly<Record<string, JsonSchema>>

/** An object with all of `members`, and maybe some of `more`. */
export const object = (members: Schemas, more: Schemas = {}): JsonSchema => ({
  type: 'object',
  properties: { ...members, ...more },
  required: Object.keys(members),
})

/** An object whose keys are data. */
export const map = (of: JsonSchema): JsonSchema => ({ type: 'object', additionalProperties: of })
export const list = (items: JsonSchema): JsonSchema => ({ type: 'array', items })
export const integer = (description: string): JsonSchema => ({ type: 'integer', description })
export const string = (description: string): JsonSchema => ({ type: 'string', description })
export const boolean = (description: string): JsonSchema => ({ type: 'boolean', description })
export const orNull = ({ type, ...schema }: JsonSchema): JsonSchema => ({ ...schema, type: [type, 'null'] })
/** What is not said any closer. */
export const anyObject = (description: string): JsonSchema => ({ type: 'object', description })
