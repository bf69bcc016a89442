import { ParseResult, Schema } from "effect"

const bytesByUnit: ReadonlyMap<string, number> = new Map([
  ["", 1],
  ["b", 1],
  ["kb", 1000],
  ["mb", 1000 ** 2],
  ["gb", 1000 ** 3],
  ["kib", 1024],
  ["mib", 1024 ** 2],
  ["gib", 1024 ** 3]
])

const example = `write a whole number of bytes or a size such as "64MiB" or "500 KB"`

const NumberOrText = Schema.declare(
  (input): input is number | string => typeof input === "number" || typeof input === "string",
  { identifier: "BytesText", message: (issue) => `${JSON.stringify(issue.actual)} is not a size; ${example}` }
)

/** A size from 1 byte on: a number of bytes, or text with a unit (KB is 1000 bytes, KiB is 1024). */
export const BytesText: Schema.Schema<number, number | string> = Schema.transformOrFail(
  NumberOrText,
  Schema.Number,
  {
    strict: true,
    decode: (input, _options, ast) => {
      const parts = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(String(input))
      const bytes = Number(parts?.[1]) * (bytesByUnit.get(parts?.[2]?.toLowerCase() ?? "") ?? Number.NaN)
      return Number.isSafeInteger(bytes) && bytes >= 1
        ? ParseResult.succeed(bytes)
        : ParseResult.fail(new ParseResult.Type(ast, input, `${JSON.stringify(input)} is not a size; ${example}`))
    },
    encode: (bytes) => ParseResult.succeed(bytes)
  }
)
