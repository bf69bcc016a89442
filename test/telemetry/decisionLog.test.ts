import { describe, expect, test } from "bun:test"
import { mkdir, mkdtemp, rm, stat } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { watchDecisionLog } from "../../src/telemetry/decisionMetrics.ts"
import { MetricRegistry } from "../../src/telemetry/MetricRegistry.ts"
import { valueOf } from "./page.ts"
import { type DecisionEntry, DecisionLog, type DecisionLogOptions } from "../../src/telemetry/DecisionLog.ts"

const entry: DecisionEntry = {
  requestId: "r1",
  model: "m",
  policy: "marginal-cost",
  pod: "10.0.0.1:8000",
  arrivedMs: 1000.5,
  waitMs: 0.25,
  totalMs: 40,
  stream: true,
  maxTokens: 20,
  session: 0,
  promptTokens: 100,
  hitTokens: 63.7,
  podPromptTokens: 101,
  podHitTokens: 64,
  predictedTtftMs: 12.34567,
  observedTtftMs: 15,
  outcome: "finished",
  outputTokens: 7,
  trail: { blockTokens: 16, blocks: "AAECAw==" }
}

const { trail, ...bare } = entry
const written = {
  ...bare,
  ...trail,
  time: "1970-01-01T00:00:00.000Z",
  hitTokens: 64,
  predictedTtftMs: 12.346,
  sampleRate: 1
}

const logIn = async (options: Partial<DecisionLogOptions> = {}) => {
  const directory = await mkdtemp(join(tmpdir(), "warmroute-decisions-"))
  const path = join(directory, "decisions.jsonl")
  const warnings: Array<string> = []
  const log = new DecisionLog({
    path,
    sampleRate: 1,
    blockHashes: true,
    bytesMax: 1_000_000,
    pendingMax: 100,
    random: () => 0.5,
    nowMs: () => 0,
    warn: (message) => void warnings.push(message),
    ...options
  })
  return { log, path, warnings, linesOf: async (file = path) => (await Bun.file(file).text()).trimEnd().split("\n") }
}

describe("the decision log", () => {
  test("writes a line for each decision, flush after flush", async () => {
    const { linesOf, log } = await logIn()
    log.write(entry)
    await log.flush()
    log.write({ ...entry, observedTtftMs: undefined, outputTokens: undefined, predictedTtftMs: Number.NaN })
    await log.flush()
    expect((await linesOf()).map((line) => JSON.parse(line) as unknown)).toEqual([
      written,
      { ...written, predictedTtftMs: null, observedTtftMs: null, outputTokens: null }
    ])
  })

  test("leaves out the hashes of an entry that has none", async () => {
    const { linesOf, log } = await logIn({ blockHashes: false })
    log.write({ ...entry, trail: undefined })
    await log.flush()
    const [line] = await linesOf()
    expect(Object.keys(JSON.parse(line ?? "{}") as object)).not.toContain("blocks")
  })

  test("samples the share it is told", async () => {
    const random = [0.1, 0.24, 0.25, 0.9]
    const { log } = await logIn({ sampleRate: 0.25, random: () => random.shift() ?? 1 })
    expect([log.samples(), log.samples(), log.samples(), log.samples()]).toEqual([true, true, false, false])
  })

  test("starts a new file at the limit and keeps one old one", async () => {
    const { linesOf, log, path } = await logIn({ bytesMax: 2000 })
    for (let i = 0; i < 20; i++) {
      log.write({ ...entry, requestId: `r${i}` })
      if (i % 3 === 0) await log.flush()
    }
    await log.flush()
    for (const file of [path, `${path}.1`]) expect((await stat(file)).size).toBeLessThanOrEqual(2000)
    const ids = [...await linesOf(`${path}.1`), ...await linesOf()].map((line) =>
      (JSON.parse(line) as DecisionEntry).requestId
    )
    expect(ids).toEqual(Array.from({ length: ids.length }, (_, i) => `r${20 - ids.length + i}`))
  })

  test("loses what does not fit between two flushes, and cuts long names", async () => {
    const { linesOf, log } = await logIn({ pendingMax: 3 })
    for (let i = 0; i < 10; i++) log.write({ ...entry, requestId: "x".repeat(10_000) })
    await log.flush()
    const lines = await linesOf()
    expect(lines).toHaveLength(3)
    expect(log.lost).toEqual({ full: 7, unwritten: 0 })
    for (const line of lines) expect(line.length).toBeLessThan(800)
  })

  test("says once that it can't write, and goes on when it can again", async () => {
    const { linesOf, log, path, warnings } = await logIn()
    await mkdir(path)
    for (let i = 0; i < 3; i++) {
      log.write(entry)
      await log.flush()
    }
    expect(warnings).toHaveLength(1)
    const registry = new MetricRegistry(10)
    watchDecisionLog(registry, log)
    expect(valueOf(registry.render(), "warmroute_decisions_lost_total", { why: "unwritten" })).toBe(3)
    expect(warnings[0]).toContain(path)
    await rm(path, { recursive: true })
    log.write(entry)
    await log.flush()
    expect(await linesOf()).toHaveLength(1)
  })
})
