import { Duration, ParseResult, Schema, type SchemaAST } from "effect"
import { counted } from "../src/core/counted.ts"

const millisByUnit: ReadonlyMap<string, number> = new Map(
  [
    ["ms milli millis millisecond milliseconds", 1],
    ["s sec secs second seconds", 1000],
    ["m min mins minute minutes", 60_000],
    ["h hour hours", 3_600_000]
  ].flatMap(([units, millis]) => `${units}`.split(" ").map((unit) => [unit, Number(millis)] as const))
)

/** Timers count milliseconds in 31 bits, so a longer wait would fire at once. */
const LONGEST_MS = 24 * 24 * 3_600_000

const example = `write it with a unit, such as "250 millis", "5 s" or "2 minutes"`

const wrong = (given: unknown): string => `${JSON.stringify(given)} is not a duration; ${example}`

const Text = Schema.String.annotations({ message: (issue) => wrong(issue.actual) })

const ZeroOrText = Schema.declare(
  (input): input is 0 | string => input === 0 || typeof input === "string",
  { identifier: "DurationOrZero", message: (issue) => `${wrong(issue.actual)}, or 0` }
)

/** Reads `250 millis`, `5s`, `1.5 minutes`. Returns milliseconds, or the reason why not. */
const parseMillis = (text: string, mayBeZero: boolean): number | string => {
  const parts = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(text)
  const perUnit = millisByUnit.get(parts?.[2]?.toLowerCase() ?? "")
  if (parts === null || perUnit === undefined) return `"${text}" is not a duration; ${example}`
  const millis = Number(parts[1]) * perUnit
  if (millis < 1 && !(mayBeZero && millis === 0)) return `"${text}" is too short; the shortest duration is 1 milli`
  return millis > LONGEST_MS ? `"${text}" is too long; the longest duration is 576 hours` : millis
}

const format = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  const units = [["hour", 3_600_000], ["minute", 60_000], ["second", 1000], ["milli", 1]] as const
  const [unit, each] = units.find(([, each]) => millis % each === 0) ?? ["milli", 1]
  return counted(millis / each, unit)
}

/** A length of time as people write it, from 1 ms to 24 days; a number without a unit is refused. */
export const DurationText: Schema.Schema<Duration.Duration, string> = Schema.transformOrFail(
  Text,
  Schema.DurationFromSelf,
  {
    strict: true,
    decode: (text, _options, ast) => durationOf(text, parseMillis(text, false), ast),
    encode: (duration) => ParseResult.succeed(format(duration))
  }
)

/** The same where none at all makes sense too: `0`, with a unit or without. */
export const DurationOrZero: Schema.Schema<Duration.Duration, 0 | string> = Schema.transformOrFail(
  ZeroOrText,
  Schema.DurationFromSelf,
  {
    strict: true,
    decode: (given, _options, ast) => {
      const isZero = given === 0 || given.trim() === "0"
      return durationOf(given, isZero ? 0 : parseMillis(given, true), ast)
    },
    encode: (duration) => ParseResult.succeed(Duration.toMillis(duration) === 0 ? 0 : format(duration))
  }
)

const durationOf = (given: unknown, millis: number | string, ast: SchemaAST.AST) =>
  typeof millis === "number"
    ? ParseResult.succeed(Duration.millis(millis))
    : ParseResult.fail(new ParseResult.Type(ast, given, millis))
