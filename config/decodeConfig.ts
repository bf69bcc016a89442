import { Either, ParseResult, Schema } from "effect"
import { ConfigError, type ConfigIssue } from "./ConfigError.ts"
import { type ConfigSource, issueAt, mergeSources, pathText, type SettingPath } from "./ConfigSource.ts"
import { didYouMean } from "./didYouMean.ts"
import { type GatewayConfig, GatewayConfigSchema } from "./GatewayConfig.ts"
import { keysAt, leavesOf } from "./schemaKeys.ts"

const decode = Schema.decodeUnknownEither(GatewayConfigSchema, { onExcessProperty: "error", errors: "all" })

/** Decodes what the sources say together, the first of them strongest. Left holds every wrong setting at once. */
export const decodeConfig = (sources: ReadonlyArray<ConfigSource>): Either.Either<GatewayConfig, ConfigError> =>
  Either.mapLeft(decode(mergeSources(sources)), (error) =>
    new ConfigError({
      issues: ParseResult.ArrayFormatter.formatErrorSync(error).map((found) => explain(sources, found))
    }))

const explain = (sources: ReadonlyArray<ConfigSource>, found: ParseResult.ArrayFormatterIssue): ConfigIssue => {
  if (found._tag === "Unexpected") return issueAt(sources, found.path, "is not a setting", nearestSetting(found.path))
  if (found._tag === "Missing") return issueAt(sources, found.path, "is missing")
  return issueAt(sources, found.path, inWords(found))
}

const nearestSetting = (path: SettingPath): string => {
  const name = String(path.at(-1))
  const section = path.slice(0, -1)
  const known = keysAt(GatewayConfigSchema.ast, section)
  const near = didYouMean(name, known)
  if (near !== undefined) return `Did you mean ${pathText([...section, near])}?`
  const elsewhere = settings.find((each) => each.at(-1) === name)
  if (elsewhere !== undefined) return `Did you mean ${pathText(elsewhere)}?`
  return `${section.length === 0 ? "The sections are" : "The settings there are"}: ${known.join(", ")}.`
}

const settings = leavesOf(GatewayConfigSchema.ast).map((leaf) => leaf.path)

const typeMismatch = /^Expected (.*), actual (.*)$/s

const inWords = ({ path, message }: ParseResult.ArrayFormatterIssue): string => {
  const [, expected, actual] = typeMismatch.exec(message) ?? []
  if (expected === undefined) return message
  const keys = keysAt(GatewayConfigSchema.ast, path)
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
