import { Duration, Either, Schema } from "effect"
import { didYouMean } from "../../../config/didYouMean.ts"
import { DurationText } from "../../../config/DurationText.ts"
import { defaultSlo, type Slo } from "../../simulator/Measurements.ts"
import { shownSeconds } from "./shownNumbers.ts"

const parts = ["ttft", "tpot"] as const

const example = "write it as ttft=2s,tpot=50ms; either part may be left out"

/** Reads `ttft=2s,tpot=50ms`. A part that is left out is no condition. Left: what is wrong, in words. */
export const parseSlo = (text: string): Either.Either<Slo, string> => {
  const seconds = new Map<string, number>()
  for (const each of text.split(",")) {
    const [name = "", value, ...rest] = each.trim().split("=").map((piece) => piece.trim())
    if (!parts.some((part) => part === name)) {
      const near = didYouMean(name, parts)
      const hint = near === undefined ? example : `did you mean ${near}?`
      return Either.left(name === "" ? `is "${text}": ${example}` : `knows no "${name}"; ${hint}`)
    }
    if (value === undefined || rest.length > 0) return Either.left(`has "${each.trim()}": ${example}`)
    if (seconds.has(name)) return Either.left(`says ${name} twice`)
    const duration = Schema.decodeUnknownEither(DurationText)(value)
    if (Either.isLeft(duration)) {
      return Either.left(`has ${name}=${value}, but that is no duration such as ${name === "ttft" ? "2s" : "50ms"}`)
    }
    seconds.set(name, Duration.toSeconds(duration.right))
  }
  const [ttftS = Number.POSITIVE_INFINITY, tpotS = Number.POSITIVE_INFINITY] = parts.map((part) => seconds.get(part))
  return Either.right({ ttftS, tpotS })
}

/** `ttft=2s,tpot=50ms`, as the flag takes it. */
export const defaultSloText = `ttft=${defaultSlo.ttftS}s,tpot=${defaultSlo.tpotS * 1000}ms`

/** The objective as a sentence has it: `TTFT ≤ 2 s and mean TPOT ≤ 50 ms`. */
export const sloWords = ({ tpotS, ttftS }: Slo): string =>
  [["TTFT", ttftS] as const, ["mean TPOT", tpotS] as const]
    .filter(([, seconds]) => Number.isFinite(seconds))
    .map(([name, seconds]) => `${name} ≤ ${shownSeconds(seconds)}`)
    .join(" and ")
