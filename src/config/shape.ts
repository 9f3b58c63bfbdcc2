/** The schema seen as a tree of options, for everything that needs to know more than whether a value is right. */
import { z } from 'zod'
import type { OptionNotes } from './option.ts'
import { mainSchema } from './schema.ts'
import type { Path } from './tree.ts'

declare module 'zod' {
  interface GlobalMeta extends Partial<Omit<OptionNotes, 'description'>> {}
}

interface Described {
  readonly description: string
  readonly notes: Partial<OptionNotes>
  readonly default: unknown
}

export interface SectionShape extends Described {
  readonly kind: 'section'
  readonly children: ReadonlyMap<string, Shape>
}

export interface ListShape extends Described {
  readonly kind: 'list'
  readonly item: Shape
}

/** A map whose keys the schema does not fix. */
export interface OpenShape extends Described {
  readonly kind: 'open'
}

export interface ValueShape extends Described {
  readonly kind: 'value'
  /** In an administrator's words: "text", "whole number", … */
  readonly type: string
}

export type Shape = SectionShape | ListShape | OpenShape | ValueShape

/** The whole main configuration. */
export function mainShape(): SectionShape {
  const shape = shapeOf(mainSchema)
  if (shape.kind !== 'section') throw new TypeError('the schema is no map of options')
  return shape
}

/** The option at a path; list positions are numbers or left out. */
export function shapeAt(shape: Shape, path: Path): Shape | undefined {
  let here: Shape | undefined = shape
  for (const step of path) {
    if (here?.kind === 'list' && typeof step === 'number') here = here.item
    else if (here?.kind === 'section') here = here.children.get(String(step))
    else return here?.kind === 'open' ? here : undefined
  }
  return here
}

/** Whether what stands at a path must not be shown. */
export function isSecret(shape: Shape, path: Path): boolean {
  const here = shapeAt(shape, path)
  if (here === undefined) return false
  return here.notes.secret === true || here.notes.known?.[String(path.at(-1))]?.secret === true
}

export function shapeOf(schema: z.core.$ZodType): Shape {
  const notes = z.globalRegistry.get(schema) ?? {}
  const inner = unwrapped(schema)
  if (inner !== undefined) {
    const shape = shapeOf(inner)
    const described = Object.keys(notes).length === 0 ? shape : { description: notes.description ?? '', notes }
    return { ...shape, ...described, default: schema instanceof z.ZodDefault ? schema.def.defaultValue : shape.default }
  }
  const described = { description: notes.description ?? '', notes, default: undefined }
  if (schema instanceof z.ZodArray) return { ...described, kind: 'list', item: shapeOf(schema.element) }
  if (schema instanceof z.ZodRecord) return { ...described, kind: 'open' }
  if (!(schema instanceof z.ZodObject)) return { ...described, kind: 'value', type: typeName(schema) }
  const children = Object.entries(schema.shape).map(([key, value]) => [key, shapeOf(value)] as const)
  return { ...described, kind: 'section', children: new Map(children) }
}

function unwrapped(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return schema.unwrap()
  return schema instanceof z.ZodPipe ? schema.def.out : undefined
}

function typeName(schema: z.core.$ZodType): string {
  if (schema instanceof z.ZodBoolean) return 'true or false'
  if (schema instanceof z.ZodNumber) return schema.isInt ? 'whole number' : 'number'
  if (schema instanceof z.ZodEnum) return schema.options.join(', ')
  return schema instanceof z.ZodString ? 'text' : 'anything'
}
