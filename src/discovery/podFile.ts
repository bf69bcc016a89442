import { Either } from "effect"
import { type PodAddress, podAddressFromUrl } from "../core/Pod.ts"
import { type FilePods, llmdPods } from "./llmdPods.ts"

type Read<A> = Either.Either<A, string>

const parse = (text: string, json: boolean): unknown => json ? JSON.parse(text) : Bun.YAML.parse(text)

const reasonOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

/** Lines tried for the place of a syntax error; it costs a parse each. */
const linesTriedMax = 200

/** The parser names no line, so this is the first one up to which the text can't be read: the error is there or below. */
const placeOfSyntaxError = (text: string): string => {
  const lines = text.split("\n", linesTriedMax)
  for (let count = 1; count <= lines.length; count++) {
    try {
      Bun.YAML.parse(lines.slice(0, count).join("\n"))
    } catch {
      return ` at or after line ${count}`
    }
  }
  return ""
}

const pick = (entry: object, key: string): unknown => Object.entries(entry).find(([name]) => name === key)?.[1]

const strangerAmong = (entry: object, known: ReadonlyArray<string>): string | undefined =>
  Object.keys(entry).find((key) => !known.includes(key))

const entryToPod = (entry: unknown, index: number): Read<PodAddress> => {
  const wrong = (why: string): Read<PodAddress> => Either.left(`entry ${index + 1}: ${why}`)
  if (typeof entry === "string") return podFrom(entry, undefined, wrong)
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) {
    return wrong("write http://host:port or url: http://host:port")
  }
  const stranger = strangerAmong(entry, ["url", "preset"])
  if (stranger !== undefined) return wrong(`unknown key "${stranger}"; known are url and preset`)
  const url = pick(entry, "url")
  const preset = pick(entry, "preset")
  if (typeof url !== "string") return wrong("url is missing or not text")
  if (preset !== undefined && typeof preset !== "string") return wrong("preset is not text")
  return podFrom(url, preset, wrong)
}

const podFrom = (
  url: string,
  preset: string | undefined,
  wrong: (why: string) => Read<PodAddress>
): Read<PodAddress> => {
  const pod = podAddressFromUrl(url, preset)
  return typeof pod === "string" ? wrong(pod) : Either.right(pod)
}

/** The list of a `{pods: [...]}` or the list itself. */
const entriesOf = (value: unknown): Read<ReadonlyArray<unknown>> => {
  if (Array.isArray(value)) return Either.right(value)
  if (value === null || value === undefined) return Either.left("holds nothing; write [] for no pods")
  if (typeof value !== "object") return Either.left("is neither a list of pods nor an object with the key pods")
  const stranger = strangerAmong(value, ["pods"])
  if (stranger !== undefined) return Either.left(`unknown key "${stranger}"; known are pods and llm-d's endpoints`)
  const pods = pick(value, "pods")
  return Array.isArray(pods) ? Either.right(pods) : Either.left("pods is not a list")
}

/** The list below `endpoints:`, the only key of a file for llm-d that matters. */
const llmdEntriesOf = (value: unknown): ReadonlyArray<unknown> | undefined => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined
  const entries = pick(value, "endpoints")
  return Array.isArray(entries) ? entries : undefined
}

/**
 * Reads a list of pods as YAML or JSON: `- http://10.0.0.7:8000` or `- url: …` with `preset: …`, alone or below
 * `pods:`; or llm-d's list below `endpoints:`, whose bad entries are `skipped`. Left is the reason, with line or entry.
 * Never throws.
 */
export const parsePodFile = (text: string, json: boolean): Either.Either<FilePods, string> => {
  let value: unknown
  try {
    value = parse(text, json)
  } catch (cause) {
    return Either.left(`is not ${json ? "JSON" : "YAML"}${placeOfSyntaxError(text)}: ${reasonOf(cause)}`)
  }
  const llmd = llmdEntriesOf(value)
  if (llmd !== undefined) return Either.right(llmdPods(llmd))
  return entriesOf(value).pipe(
    Either.flatMap((entries) => Either.all(entries.map(entryToPod))),
    Either.map((pods) => ({ pods, skipped: [] }))
  )
}
