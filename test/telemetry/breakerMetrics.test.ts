import { describe, expect, test } from "bun:test"
import type { BreakerChange } from "../../src/core/PodGuard.ts"
import { PodTable } from "../../src/core/PodTable.ts"
import { makeBreakerLog } from "../../src/telemetry/breakerLog.ts"
import { makeBreakerMetrics, watchGuard } from "../../src/telemetry/breakerMetrics.ts"
import { MetricRegistry } from "../../src/telemetry/MetricRegistry.ts"
import { pod } from "../policies/fleet.ts"

const opened = (index = 0): BreakerChange => ({ address: pod(index), state: "open", why: "reset", openS: 1 })
const closed = (index = 0): BreakerChange => ({ address: pod(index), state: "closed", why: "", openS: 0 })

test("metrics show what keeps requests from each pod and count the changes of its breaker", () => {
  const registry = new MetricRegistry(10)
  const table = new PodTable(4)
  for (const index of [0, 1, 2]) table.add(pod(index))
  const guard = {
    stateOf: (row: number) => (["closed", "half-open", "open"] as const)[row] ?? "closed",
    rampShare: (row: number, nowS: number) => row === 0 ? nowS / 100 : 1,
    isStuck: (row: number, nowS: number) => row === 1 && nowS === 25,
    passedOver: (row: number) => ({ slowStart: row === 0 ? 3 : 0, stall: row === 1 ? 5 : 0 })
  }
  watchGuard(registry, table, guard, () => 25)
  const { changed } = makeBreakerMetrics(registry, 10)
  changed(opened())
  changed(opened(1))
  changed(closed())
  expect(registry.render().split("\n").filter((line) => !line.startsWith("#"))).toEqual([
    "warmroute_pod_breaker_open{pod=\"10.0.0.1:8000\"} 0",
    "warmroute_pod_breaker_open{pod=\"10.0.0.1:8001\"} 0.5",
    "warmroute_pod_breaker_open{pod=\"10.0.0.1:8002\"} 1",
    "warmroute_pod_pick_share_ratio{pod=\"10.0.0.1:8000\"} 0.25",
    "warmroute_pod_pick_share_ratio{pod=\"10.0.0.1:8001\"} 1",
    "warmroute_pod_pick_share_ratio{pod=\"10.0.0.1:8002\"} 1",
    "warmroute_pod_stalled{pod=\"10.0.0.1:8000\"} 0",
    "warmroute_pod_stalled{pod=\"10.0.0.1:8001\"} 1",
    "warmroute_pod_stalled{pod=\"10.0.0.1:8002\"} 0",
    "warmroute_pod_passed_over_total{pod=\"10.0.0.1:8000\",why=\"slow-start\"} 3",
    "warmroute_pod_passed_over_total{pod=\"10.0.0.1:8001\",why=\"stall\"} 5",
    "warmroute_breaker_changes_total{pod=\"10.0.0.1:8000\",state=\"open\"} 1",
    "warmroute_breaker_changes_total{pod=\"10.0.0.1:8000\",state=\"closed\"} 1",
    "warmroute_breaker_changes_total{pod=\"10.0.0.1:8001\",state=\"open\"} 1",
    ""
  ])
})

describe("the log of breakers", () => {
  const logOf = (podsMax = 10) => {
    const lines: Array<string> = []
    const clock = { nowMs: 0 }
    const write = makeBreakerLog({
      everyMs: 1000,
      podsMax,
      nowMs: () => clock.nowMs,
      warn: (line) => void lines.push(`warning ${line}`),
      info: (line) => void lines.push(`info ${line}`)
    })
    return { lines, clock, write }
  }

  test("has a line for the bad news and one for the good", () => {
    const { lines, write } = logOf()
    write(opened())
    write({ ...opened(), state: "half-open" })
    write(closed())
    expect(lines).toEqual([
      "warning pod 10.0.0.1:8000 gets no requests for 1 s, its breaker opened: reset",
      "info pod 10.0.0.1:8000 gets requests again, its breaker closed"
    ])
  })

  test("counts the changes of a pod that goes to and fro, and does not mix pods up", () => {
    const { clock, lines, write } = logOf()
    for (let i = 0; i < 50; i++) {
      write(opened())
      write(closed())
    }
    write(opened(1))
    clock.nowMs = 5000
    write(opened())
    expect(lines).toHaveLength(4)
    expect(lines.at(-1)).toEndWith("its breaker opened: reset (changes since the last such line: 98)")
  })

  test("remembers no more pods than it may", () => {
    const { lines, write } = logOf(1)
    write(opened(0))
    write(opened(1))
    write(opened(0))
    expect(lines).toHaveLength(3)
  })
})
