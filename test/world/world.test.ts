/**
 * Live actors over a faulty fleet in virtual time; see `World`. `bun run test:world` runs 1,000 seeds,
 * `WORLD_FIRST=1001` begins with
 * another, `WORLD_SEED=123 bun test test/world` runs one, which is what a failing seed prints.
 */
import { describe, expect, test } from "bun:test"
import { defectPlaces } from "./Defects.ts"
import { troubles } from "./FaultyPod.ts"
import { damages } from "./SnapshotDisk.ts"
import { World, type WorldReport } from "./World.ts"

const { WORLD_FIRST, WORLD_REQUESTS, WORLD_SEED, WORLD_SEEDS } = process.env
const requests = Number(WORLD_REQUESTS ?? 600)
const seeds = WORLD_SEED === undefined
  ? Array.from({ length: Number(WORLD_SEEDS ?? 50) }, (_, index) => index + Number(WORLD_FIRST ?? 1))
  : [Number(WORLD_SEED)]
/** A busy machine may take its time for one; virtual time bounds what happens in it. */
const worldWithinMs = 300_000

const faultOf = (seed: number, { lastLines, violations }: WorldReport): string => {
  const scale = WORLD_REQUESTS === undefined ? "" : `WORLD_REQUESTS=${WORLD_REQUESTS} `
  return [
    `seed ${seed}:`,
    ...violations.slice(0, 8),
    "what came before:",
    ...lastLines,
    `again: ${scale}WORLD_SEED=${seed} bun test test/world`
  ].join("\n")
}

describe("a world in which everything goes wrong", () => {
  const reports: Array<WorldReport> = []

  test.each(seeds)("keeps its promises with seed %d", async (seed) => {
    const report = await new World(seed, requests).run()
    reports.push(report)
    if (report.violations.length > 0) throw new Error(faultOf(seed, report))
  }, worldWithinMs)

  test.each(seeds.slice(0, 3))("has the same history again with seed %d", async (seed) => {
    const [one, other] = [await new World(seed, 300).run(), await new World(seed, 300).run()]
    expect(other).toEqual(one)
    expect((await new World(seed + 1, 300).run()).hash).not.toBe(one.hash)
  }, worldWithinMs)

  test.skipIf(seeds.length < 50)("sees every kind of trouble, and requests that are saved from it", () => {
    const happened = new Set(reports.flatMap(({ happenings }) => Object.keys(happenings)))
    const ended = new Set(reports.flatMap(({ outcomes }) => Object.keys(outcomes)))
    const kinds = [
      "kill -9",
      "stop",
      "spent-scheduler",
      "spent-pool",
      "spent-discovery",
      "lost-scheduler",
      "lost-pool",
      "lost-discovery",
      "policy",
      "settings",
      "limits",
      "sources",
      "list",
      "source-fault",
      "snapshot-fault"
    ]
    const defects = defectPlaces.map((place) => `defect-${place}`)
    const damaged = damages.map((damage) => `snapshot-${damage}`)
    expect([...happened].toSorted()).toEqual(
      [...troubles, ...kinds, ...defects, ...damaged, "kill", "outage"].toSorted()
    )
    const outcomes = [
      "finished",
      "finished-after-retry",
      "rescued",
      "lost-mid-stream-no-pod",
      "client-left",
      "gateway-lost",
      "queue_full",
      "queue_timeout"
    ]
    expect(outcomes.filter((outcome) => !ended.has(outcome))).toEqual([])
    expect(reports.reduce((sum, { placedInTurn }) => sum + placedInTurn, 0)).toBeGreaterThan(1000)
    expect(reports.reduce((sum, { outcomes }) => sum + (outcomes["rescued"] ?? 0), 0)).toBeGreaterThan(100)
    expect(reports.reduce((sum, { recordsSaved }) => sum + recordsSaved, 0)).toBeGreaterThan(1000)
  })
})
