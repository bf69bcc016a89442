import { Either, type ParseResult, Schema, type SchemaAST } from "effect"
import { perhaps } from "../schemaParts.ts"
import type { PluginDescription } from "../../src/policies/registry.ts"

/** What a plug-in of llm-d may be referenced as; `producer` stands for all that work by being listed. */
export type Slot =
  | "filter"
  | "scorer"
  | "picker"
  | "handler"
  | "producer"
  | "source"
  | "extractor"
  | "discovery"
  | "parser"
  | "fairness"
  | "ordering"
  | "usage-limit"
  | "detector"

/** supported: the same formula. equivalent: the same purpose by other means. not needed: the gateway does it anyway. */
export type Support = "supported" | "equivalent" | "not needed"

type Settings = Readonly<Record<string, unknown>>

/** What becomes of a plug-in. */
export interface PluginUse {
  readonly support: Support
  /** A phrase: what it becomes, or why nothing is needed. */
  readonly note: string
  /** What the policy marginal-cost has in its place, for plug-ins that choose pods. */
  readonly inMarginalCost?: string
  readonly filter?: PluginDescription
  readonly scorer?: PluginDescription
  readonly picker?: PluginDescription
  /** Of the gateway's configuration, by section. */
  readonly settings?: Settings
}

/** A plug-in as the file lists it. */
export interface ListedPlugin {
  readonly name: string
  readonly type: string
  readonly parameters?: unknown
}

/** A type of plug-in that the gateway has something for. */
export interface LlmdPlugin {
  readonly type: string
  readonly slots: ReadonlyArray<Slot>
  /** Its name since llm-d renamed it. */
  readonly now?: string | undefined
  /** Of its parameters. */
  readonly ast: SchemaAST.AST
  /** Left: what is wrong with the parameters, each with its path in them. */
  readonly read: (
    plugin: ListedPlugin,
    all: ReadonlyArray<ListedPlugin>
  ) => Either.Either<PluginUse, ParseResult.ParseError>
}

/** A plug-in with parameters of this shape. As in llm-d, an unknown parameter is an error. */
export const llmdPlugin = <A, I>(
  type: string,
  slots: ReadonlyArray<Slot>,
  Parameters: Schema.Schema<A, I>,
  use: (parameters: A, plugin: ListedPlugin, all: ReadonlyArray<ListedPlugin>) => PluginUse
): LlmdPlugin => {
  const decode = Schema.decodeUnknownEither(Parameters, { onExcessProperty: "error", errors: "all" })
  return {
    type,
    slots,
    ast: Parameters.ast,
    read: (plugin, all) => Either.map(decode(plugin.parameters ?? {}), (parameters) => use(parameters, plugin, all))
  }
}

/** The same plug-in under the name that it had before. */
export const formerly = (type: string, plugin: LlmdPlugin): LlmdPlugin => ({ ...plugin, type, now: plugin.type })

/** A parameter that says where data comes from, of which the gateway has one source only. */
export const producerName = perhaps(Schema.String)

/** A parameter that is accepted and changes nothing. */
export const ignored = perhaps(Schema.Unknown)

/** The parameters as written, without those that our plug-in does not have; undefined when none is left. */
export const withoutKeys = (parameters: unknown, ...names: ReadonlyArray<string>): Settings | undefined => {
  const left = Object.entries(parameters ?? {}).filter(([name]) => !names.includes(name))
  return left.length === 0 ? undefined : Object.fromEntries(left)
}

/** Our plug-in, with parameters if there are any. */
export const described = (type: string, parameters: Settings | undefined): PluginDescription =>
  parameters === undefined ? { type } : { type, parameters }
