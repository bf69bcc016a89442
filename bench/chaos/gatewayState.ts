import { readFileSync } from "node:fs"

/** Names of one gateway's metrics. */
interface MetricNames {
  /** Their sum is zero when no request is in hand. */
  readonly inflight: ReadonlyArray<string>
  readonly retried: ReadonlyArray<string>
  readonly rescued: ReadonlyArray<string>
}

const byGateway: Readonly<Record<string, MetricNames>> = {
  warmroute: {
    inflight: ["warmroute_open_requests", "warmroute_reservations", "warmroute_waiting_requests"],
    retried: ["warmroute_retries_total"],
    rescued: ["warmroute_rescues_total{outcome=\"whole\"}"]
  },
  "vllm-router": {
    inflight: ["vllm_router_running_requests"],
    retried: ["vllm_router_retries_total"],
    rescued: []
  },
  smg: { inflight: ["smg_worker_requests_active"], retried: ["smg_worker_retries_total"], rescued: [] }
}

export interface GatewayState {
  readonly inflight: number
  readonly retried: number
  readonly rescued: number
}

/** The sum of all series that have the name, or of the one series when it comes with its labels. */
export const sumOf = (page: string, series: string): number => {
  let sum = 0
  for (const line of page.split("\n")) {
    if (!line.startsWith(series)) continue
    const next = line.charAt(series.length)
    if (next === " " || (next === "{" && !series.endsWith("}"))) sum += Number(line.slice(line.lastIndexOf(" ") + 1))
  }
  return sum
}

const total = (page: string, series: ReadonlyArray<string>): number =>
  series.reduce((sum, name) => sum + sumOf(page, name), 0)

/** What the metrics page of a gateway says. `name`: `warmroute`, or begins with that of a rival. */
export const stateOf = (name: string, page: string): GatewayState => {
  const key = Object.keys(byGateway).find((known) => name.startsWith(known))
  const names = byGateway[key ?? ""]
  if (names === undefined) throw new Error(`the metrics of ${name} are not known`)
  return {
    inflight: total(page, names.inflight),
    retried: total(page, names.retried),
    rescued: total(page, names.rescued)
  }
}

export const readPage = async (url: string): Promise<string> => {
  const answer = await fetch(url, { signal: AbortSignal.timeout(5000) })
  return await answer.text()
}

const PAGE_BYTES = 4096

/** Resident memory of a process, the files that it maps included. */
export const rssMbOf = (pid: number): number => {
  const [, resident = "0"] = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")
  return Math.round((Number(resident) * PAGE_BYTES) / 1024 / 1024)
}
