import type { WaitingWish } from "../../core/RequestFeatures.ts"
import { BadRequest } from "../../errors.ts"

/** What of a client's headers counts while its request waits. */
export interface WishRules {
  /** Priority that an objective stands for; undefined: nobody knows it. */
  readonly priorityOf: (objective: string) => number | undefined
  /** Clients may say a priority as a number. */
  readonly readsPriority: boolean
  /** Clients may name their flow: always, never, or auto, where they came without a key. */
  readonly readsFlow: "auto" | "always" | "never"
}

export const wishDefaults: WishRules = { priorityOf: () => undefined, readsPriority: false, readsFlow: "auto" }

/** llm-d's names of today and of before. */
const objectiveHeaders = ["x-llm-d-inference-objective", "x-gateway-inference-objective"]
const flowHeaders = ["x-llm-d-inference-fairness-id", "x-gateway-inference-fairness-id"]
const deadlineHeader = "x-warmroute-deadline-ms"
const priorityHeader = "x-warmroute-priority"

/** Longer names of flows count as these many characters of them. */
const FLOW_NAME_CHARS = 128
/** A client's own number, either way. */
const PRIORITY_MAX = 100

interface HeaderReader {
  readonly get: (name: string) => string | null
}

/**
 * How a request wishes to wait, by its headers. Requests with a key share by keys, since a client could make itself any
 * number of flows. Throws BadRequest.
 */
export const requestWish = (
  headers: HeaderReader,
  bytes: number,
  keyName: string | undefined,
  rules: WishRules
): WaitingWish => ({
  priority: ownPriority(headers, rules) ?? objectivePriority(headers, rules) ?? 0,
  flow: ownFlow(headers, keyName, rules) ?? keyName ?? "",
  bytes,
  waitMaxS: deadlineS(headers)
})

const ownPriority = (headers: HeaderReader, { readsPriority }: WishRules): number | undefined => {
  const text = readsPriority ? headers.get(priorityHeader) : null
  if (text === null) return undefined
  const priority = text.trim() === "" ? Number.NaN : Number(text)
  if (Number.isInteger(priority) && Math.abs(priority) <= PRIORITY_MAX) return priority
  const message = `${priorityHeader} must be a whole number from -${PRIORITY_MAX} to ${PRIORITY_MAX}`
  throw new BadRequest({ message, param: priorityHeader })
}

const objectivePriority = (headers: HeaderReader, { priorityOf }: WishRules): number | undefined => {
  const objective = firstOf(headers, objectiveHeaders)
  return objective === undefined ? undefined : priorityOf(objective)
}

const ownFlow = (headers: HeaderReader, keyName: string | undefined, { readsFlow }: WishRules): string | undefined => {
  if (readsFlow === "never" || (readsFlow === "auto" && keyName !== undefined)) return undefined
  return firstOf(headers, flowHeaders)?.slice(0, FLOW_NAME_CHARS)
}

const deadlineS = (headers: HeaderReader): number | undefined => {
  const text = headers.get(deadlineHeader)
  if (text === null) return undefined
  const ms = text.trim() === "" ? Number.NaN : Number(text)
  if (ms >= 0 && Number.isFinite(ms)) return ms / 1000
  throw new BadRequest({ message: `${deadlineHeader} must be a number of milliseconds`, param: deadlineHeader })
}

const firstOf = (headers: HeaderReader, names: ReadonlyArray<string>): string | undefined => {
  for (const name of names) {
    const value = headers.get(name)
    if (value !== null && value !== "") return value
  }
  return undefined
}
