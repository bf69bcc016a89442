import type { StreamedAnswer } from "../askStream.ts"
import { type Arrival, LIGHT_FLOWS, type Sender } from "./traffic.ts"

/** A request and what became of it. */
export interface Told {
  readonly arrival: Arrival
  /** When it was to be sent, in milliseconds of `performance.now()`; its TTFT counts from here. */
  readonly dueMs: number
  readonly answer: StreamedAnswer
}

/** Emulated seconds. */
export const SLO = { ttftS: 2, tpotS: 0.1 }

/** What one load came down to, over the requests of its measured part. Emulated seconds. */
export interface LoadResult {
  /** Of the capacity. */
  readonly load: number
  readonly requests: number
  readonly answered: number
  readonly refused: number
  /** Of those, with a Retry-After. */
  readonly withRetryAfter: number
  readonly gaveUp: number
  readonly failed: number
  /** Answers inside the SLO a second, and their prefill seconds a second, which a gateway can't raise by choosing the small. */
  readonly goodPerS: number
  readonly goodWorkPerS: number
  readonly highTtftP50S: number
  readonly highTtftP99S: number
  /** Of the high band's requests. */
  readonly highAnswered: number
  readonly ttftP50S: number
  readonly ttftP99S: number
  readonly tpotMeanS: number
  /** Of the work that was answered below the high band, what the heavy flow got, and what max-min sharing gives it. */
  readonly heavyShare: number
  readonly heavyFairShare: number
  /** Answered over asked work of the light flows. */
  readonly lightServed: number
}

const quantile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

const sum = (told: ReadonlyArray<Told>, of: (told: Told) => number): number =>
  told.reduce((total, each) => total + of(each), 0)

const workOf = ({ arrival }: Told): number => arrival.workS

/** `measuredS`: length of the part that the requests are from. */
export const loadResult = (load: number, told: ReadonlyArray<Told>, measuredS: number, speed: number): LoadResult => {
  const seconds = (ms: number): number => ms / 1000 * speed
  const ttft = ({ answer, dueMs }: Told): number => seconds(answer.firstTokenMs - dueMs)
  const tpot = ({ answer: { endMs, firstTokenMs, outputTokens } }: Told): number =>
    seconds(endMs - firstTokenMs) / Math.max(1, outputTokens - 1)
  const answered = told.filter(({ answer }) => answer.outcome === "answered")
  const good = answered.filter((each) => ttft(each) <= SLO.ttftS && tpot(each) <= SLO.tpotS)
  const countOf = (outcome: StreamedAnswer["outcome"]): number =>
    told.filter(({ answer }) => answer.outcome === outcome).length
  const high = told.filter(({ arrival }) => arrival.sender === "high")
  const highAnswered = answered.filter(({ arrival }) => arrival.sender === "high")
  const low = answered.filter(({ arrival }) => arrival.sender !== "high")
  const workFrom = (of: ReadonlyArray<Told>, sender: Sender): number =>
    sum(of.filter(({ arrival }) => arrival.sender === sender), workOf)
  const lowWorkS = sum(low, workOf)
  const lightAskedS = LIGHT_FLOWS.reduce((total, flow) => total + workFrom(told, flow), 0)
  const demands = ["heavy", ...LIGHT_FLOWS].map((flow) => workFrom(told, flow))
  return {
    load,
    requests: told.length,
    answered: answered.length,
    refused: countOf("refused"),
    withRetryAfter: told.filter(({ answer }) => answer.outcome === "refused" && answer.hasRetryAfter).length,
    gaveUp: countOf("gave-up"),
    failed: countOf("failed"),
    goodPerS: good.length / measuredS,
    goodWorkPerS: sum(good, workOf) / measuredS,
    highTtftP50S: quantile(highAnswered.map(ttft), 0.5),
    highTtftP99S: quantile(highAnswered.map(ttft), 0.99),
    highAnswered: highAnswered.length / Math.max(1, high.length),
    ttftP50S: quantile(answered.map(ttft), 0.5),
    ttftP99S: quantile(answered.map(ttft), 0.99),
    tpotMeanS: sum(answered, tpot) / Math.max(1, answered.length),
    heavyShare: lowWorkS === 0 ? 0 : workFrom(low, "heavy") / lowWorkS,
    heavyFairShare: lowWorkS === 0 ? 0 : maxMinShare(demands, lowWorkS) / lowWorkS,
    lightServed: lightAskedS === 0
      ? 0
      : LIGHT_FLOWS.reduce((total, flow) => total + workFrom(low, flow), 0) / lightAskedS
  }
}

/** What the first of them gets when `total` is shared so that nobody gets more while another who wants more has less. */
export const maxMinShare = (demands: ReadonlyArray<number>, total: number): number => {
  let left = total
  const waiting = demands.map((demand, index) => ({ demand, index })).toSorted((a, b) => a.demand - b.demand)
  for (const [place, { demand, index }] of waiting.entries()) {
    const part = Math.min(demand, left / (waiting.length - place))
    if (index === 0) return part
    left -= part
  }
  return 0
}
