import { Either, ParseResult, Schema, type SchemaAST } from "effect"
import { ConfigError, type ConfigIssue } from "./ConfigError.ts"
import { type ConfigSource, issueAt, mergeSources, pathText, type SettingPath } from "./ConfigSource.ts"
import { didYouMean } from "./didYouMean.ts"
import { type GatewayConfig, GatewayConfigSchema } from "./GatewayConfig.ts"
import { keysAt, leavesOf } from "./schemaKeys.ts"

const decode = Schema.decodeUnknownEither(GatewayConfigSchema, { onExcessProperty: "error", errors: "all" })

/** Decodes what the sources say together, the first of them strongest. Left holds every wrong setting at once. */
export const decodeConfig = (sources: ReadonlyArray<ConfigSource>): Either.Either<GatewayConfig, ConfigError> =>
  Either.mapLeft(
    decode(mergeSources(sources)),
    (error) => new ConfigError({ issues: explainIssues(sources, GatewayConfigSchema.ast, error) })
  )

/** What a schema has against the sources, in words. `below`: where in them the schema begins. */
export const explainIssues = (
  sources: ReadonlyArray<ConfigSource>,
  ast: SchemaAST.AST,
  error: ParseResult.ParseError,
  below: SettingPath = []
): ReadonlyArray<ConfigIssue> =>
  ParseResult.ArrayFormatter.formatErrorSync(error).filter(isNews).map((found) => {
    const path = [...below, ...found.path]
    if (found._tag === "Unexpected") {
      return issueAt(sources, path, "is not a setting", nearestSetting(ast, found.path, below))
    }
    return issueAt(sources, path, found._tag === "Missing" ? "is missing" : inWords(ast, found))
  })

/** That a setting could also be left out says nothing about the value that it has. */
const isNews = ({ message }: ParseResult.ArrayFormatterIssue): boolean => !message.startsWith("Expected undefined,")

const nearestSetting = (ast: SchemaAST.AST, path: SettingPath, below: SettingPath): string => {
  const name = String(path.at(-1))
  const section = path.slice(0, -1)
  const known = keysAt(ast, section)
  const near = didYouMean(name, known)
  if (near !== undefined) return `Did you mean ${pathText([...below, ...section, near])}?`
  const elsewhere = leavesOf(ast).find((leaf) => leaf.path.at(-1) === name)
  if (elsewhere !== undefined) return `Did you mean ${pathText([...below, ...elsewhere.path])}?`
  if (known.length === 0) return "There are no settings."
  return `${section.length === 0 && below.length === 0 ? "The sections are" : "The settings there are"}: ${
    known.join(", ")
  }.`
}

const typeMismatch = /^Expected (.*), actual (.*)$/s

const inWords = (ast: SchemaAST.AST, { path, message }: ParseResult.ArrayFormatterIssue): string => {
  const [, expected, actual] = typeMismatch.exec(message) ?? []
  if (expected === undefined) return message
  const keys = keysAt(ast, path)
  if (keys.length > 0) return `is ${actual} but must be a section with the settings ${keys.join(", ")}`
  if (expected.startsWith("ReadonlyArray")) return `is ${actual} but must be a list`
  if (expected.startsWith("{")) return `is ${actual} but must be a section of names and values`
  return `is ${actual} but must be ${plainTypes.get(expected) ?? expected}`
}

const plainTypes: ReadonlyMap<string, string> = new Map([
  ["string", "text"],
  ["number", "a number"],
  ["boolean", "true or false"],
  ["NonEmptyString", "text that is not empty"]
])
