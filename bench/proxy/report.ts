import type { LoadResult } from "./load.ts"

/** One gateway in one case of one round. */
export interface Measurement {
  readonly case: string
  readonly gateway: string
  readonly cost: LoadResult
  readonly latency: LoadResult
}

/** A line of the result; null where the case has no such number. */
export interface CaseResult {
  readonly case: string
  readonly gateway: string
  readonly cpuUsPerRequest: number | null
  readonly cpuUsPerToken: number | null
  readonly ttftAddedMsP50: number
  readonly ttftAddedMsP99: number
  readonly rssMb: number
  readonly errors: number
  readonly errorKinds: Readonly<Record<string, number>>
  /** CPU of every round, in order, to see how steady the machine was. */
  readonly cpuUsRounds: ReadonlyArray<number>
}

/** The pods without a gateway, under the same load. */
export const DIRECT = "direct"

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

const round = (value: number, digits: number): number => Number(value.toFixed(digits))

const streams = (m: Measurement): boolean => m.case.startsWith("stream")

const cpuUs = (m: Measurement): number =>
  (m.cost.cpuSeconds * 1e6) / Math.max(1, streams(m) ? m.cost.tokens : m.cost.requests)

/** Medians over the rounds. Added TTFT is against the direct run of the same round. */
export const summarise = (all: ReadonlyArray<Measurement>): ReadonlyArray<CaseResult> => {
  const out: Array<CaseResult> = []
  for (const [key, rounds] of Map.groupBy(all, (m) => `${m.case} ${m.gateway}`)) {
    const [caseName = "", gateway = ""] = key.split(" ")
    const direct = all.filter((m) => m.case === caseName && m.gateway === DIRECT)
    const added = (pick: (result: LoadResult) => number) =>
      round(median(rounds.map((m, i) => pick(m.latency) - pick(direct[i]?.latency ?? m.latency))), 2)
    const cpu = rounds.map((m) => round(cpuUs(m), 1))
    const streaming = rounds.some(streams)
    const errorKinds = mergeErrors(rounds)
    out.push({
      case: caseName,
      gateway,
      cpuUsPerRequest: streaming ? null : round(median(cpu), 1),
      cpuUsPerToken: streaming ? round(median(cpu), 1) : null,
      ttftAddedMsP50: added((result) => result.ttftMs.p50),
      ttftAddedMsP99: added((result) => result.ttftMs.p99),
      rssMb: round(Math.max(...rounds.map((m) => Math.max(m.cost.rssMostMb, m.latency.rssMostMb))), 0),
      errors: Object.values(errorKinds).reduce((sum, count) => sum + count, 0),
      errorKinds,
      cpuUsRounds: cpu
    })
  }
  return out
}

const mergeErrors = (rounds: ReadonlyArray<Measurement>): Record<string, number> => {
  const kinds: Record<string, number> = {}
  for (const { cost, latency } of rounds) {
    for (const result of latency === cost ? [cost] : [cost, latency]) {
      for (const [kind, count] of Object.entries(result.errorKinds)) kinds[kind] = (kinds[kind] ?? 0) + count
    }
  }
  return kinds
}

/** Cores that processes outside the bench kept busy, at the median and at the worst: above 0.1 the numbers suffer. */
export const otherCpuCores = (all: ReadonlyArray<Measurement>): { median: number; worst: number } => {
  const cores = all.map(({ cost }) => cost.otherCpuSeconds / cost.durationS)
  return { median: round(median(cores), 2), worst: round(Math.max(...cores), 2) }
}

/** A Markdown table with one line a gateway, to be pasted into the README. */
export const markdown = (results: ReadonlyArray<CaseResult>): string => {
  const cell = (caseName: string, gateway: string): CaseResult | undefined =>
    results.find((result) => result.case === caseName && result.gateway === gateway)
  const lines = [
    "| gateway | small, µs/request | 30 KB, µs/request | 500 streams, µs/token " +
    "| added TTFT p50 / p99, ms: small | 30 KB | streams | RSS, MB | errors |",
    "|---|---|---|---|---|---|---|---|---|"
  ]
  const names = new Set(results.map((result) => result.gateway).filter((name) => name !== DIRECT))
  for (const name of names) {
    const [small, long, stream] = ["small", "prompt30k", "stream500"].map((caseName) => cell(caseName, name))
    const ttft = (result: CaseResult | undefined) =>
      result === undefined ? "–" : `${result.ttftAddedMsP50} / ${result.ttftAddedMsP99}`
    const own = results.filter((result) => result.gateway === name)
    lines.push(
      `| ${name} | ${small?.cpuUsPerRequest ?? "–"} | ${long?.cpuUsPerRequest ?? "–"} | ${
        stream?.cpuUsPerToken ?? "–"
      } ` +
        `| ${ttft(small)} | ${ttft(long)} | ${ttft(stream)} | ${Math.max(...own.map((result) => result.rssMb))} ` +
        `| ${own.reduce((sum, result) => sum + result.errors, 0)} |`
    )
  }
  return lines.join("\n")
}
