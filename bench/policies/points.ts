import { evenFleetName } from "../../src/simulator/fleets/catalog.ts"

/** One workload at one load on one fleet. */
export interface Point {
  /** A generated workload, or the format of a trace. */
  readonly workload: string
  readonly load: number
  readonly fleet: string
  readonly isTrace: boolean
  /** Seconds in which requests arrive; undefined: the workload's own. */
  readonly durationS: number | undefined
  readonly group: Group
}

/** "main": what the geometric means are over. The others ask how bad it gets. */
export type Group = "main" | "kv-edge" | "fleets" | "gateways"

/** As `--only` takes it and as reports show it. */
export const keyOf = ({ fleet, load, workload }: Pick<Point, "fleet" | "load" | "workload">): string =>
  `${workload}:${load}${fleet === evenFleetName ? "" : `@${fleet}`}`

/** Seconds of Mooncake's hour that are played: enough for 4,000 requests at the recorded speed. */
const MOONCAKE_S = 1200

const main = (workload: string, ...loads: ReadonlyArray<number>): ReadonlyArray<Point> =>
  loads.map((load) => ({ workload, load, fleet: evenFleetName, isTrace: false, durationS: undefined, group: "main" }))

const trace = (format: string, durationS: number | undefined, ...loads: ReadonlyArray<number>): ReadonlyArray<Point> =>
  loads.map((load) => ({ workload: format, load, fleet: evenFleetName, isTrace: true, durationS, group: "main" }))

const on = (
  group: Group,
  fleet: string,
  ...traffic: ReadonlyArray<readonly [workload: string, load: number]>
): ReadonlyArray<Point> =>
  traffic.map(([workload, load]) => ({ workload, load, fleet, isTrace: false, durationS: undefined, group }))

/** Loads that a fleet bears which lacks a quarter of its speed for all or part of the time. */
const lighter = [["b2b", 12], ["zipf", 30], ["chat", 40], ["mixed", 8]] as const
/** Loads that half of the pods bear. */
const half = [["b2b", 8], ["zipf", 20], ["chat", 30], ["mixed", 5]] as const
const usual = [["b2b", 16], ["zipf", 30], ["chat", 40], ["mixed", 12]] as const
const shared = [["b2b", 12], ["zipf", 30], ["chat", 40]] as const

export const points: ReadonlyArray<Point> = [
  ...main("ladder", 1),
  ...main("b2b", 12, 16, 18),
  ...main("zipf", 20, 30, 40),
  ...main("burst", 20, 30),
  ...main("chat", 40, 60),
  ...main("mixed", 8, 12, 16),
  ...main("codegen", 20, 40, 60),
  ...main("reason", 100, 300),
  ...trace("mooncake", MOONCAKE_S, 1, 1.5, 2),
  ...trace("claude-code", undefined, 3, 5, 9),
  ...on("kv-edge", "kv-285k", ["ladder", 1]),
  ...on("kv-edge", "kv-250k", ["ladder", 1]),
  ...on("kv-edge", "slow-kv-reads", ["b2b", 16]),
  ...on("fleets", "half-slow", ...lighter),
  ...on("fleets", "half-slow-unknown", ...lighter),
  ...on("fleets", "lost-pod", ...lighter),
  ...on("fleets", "cold-joiners", ...half),
  ...on("fleets", "wrong-constants", ...usual),
  ...on("fleets", "believed-2x-slower", ...usual),
  ...on("fleets", "believed-2x-faster", ...usual),
  ...on("gateways", "2-gateways", ...shared),
  ...on("gateways", "2-gateways-shared", ...shared),
  ...on("gateways", "4-gateways", ...shared),
  ...on("gateways", "4-gateways-shared", ...shared)
]

/** Points that one of the words names: by key, workload, fleet or group. */
export const selectPoints = (words: ReadonlyArray<string>): ReadonlyArray<Point> =>
  points.filter((point) =>
    words.some((word) => [keyOf(point), point.workload, point.fleet, point.group].includes(word))
  )
