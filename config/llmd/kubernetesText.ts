import { Either, Schema } from "effect"
import { reading } from "../schemaParts.ts"

const unitsS: Readonly<Record<string, number>> = {
  ns: 1e-9,
  us: 1e-6,
  µs: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600
}

const secondsOf = (text: string): Either.Either<number, string> => {
  if (text === "0") return Either.right(0)
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) {
    return Either.left(`is "${text}" but must be a duration such as 60s, 1m30s or 200ms`)
  }
  const parts = text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)
  return Either.right([...parts].reduce((sum, [, amount, unit = ""]) => sum + Number(amount) * (unitsS[unit] ?? 0), 0))
}

/** A duration as Go writes it, in seconds. */
export const GoDuration: Schema.Schema<number, string> = reading(Schema.String, secondsOf, (seconds) => `${seconds}s`)

const suffixes: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60
}

const amountOf = (written: string | number): Either.Either<number, string> => {
  const [, amount, suffix = ""] = /^(\d+(?:\.\d+)?)([kMGTPE]i?|Ki)?$/.exec(String(written)) ?? []
  return amount === undefined || suffixes[suffix] === undefined
    ? Either.left(`is ${JSON.stringify(written)} but must be a quantity such as 500, 1k or 10Gi`)
    : Either.right(Math.ceil(Number(amount) * suffixes[suffix]))
}

/** A quantity as Kubernetes writes it. */
export const Quantity: Schema.Schema<number, string | number> = reading(
  Schema.Union(Schema.String, Schema.Number),
  amountOf,
  String
)
