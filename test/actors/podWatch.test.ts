import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { podActorDefaults } from "../../actors/PodActorOptions.ts"
import { scrapePauseMs } from "../../actors/scrapeForever.ts"
import { WatchedPod } from "./watchedPod.ts"

const options = podActorDefaults
const intervalMs = options.scrapeIntervalMs * 1.2
const retryMs = options.scrapeRetryMs * 1.2
/** For the answers themselves, a millisecond each. */
const answersMs = 10
const seeds = [1, 2, 3, 4, 5]

describe("a pod that hangs", () => {
  test.each(seeds)(
    "is unhealthy after three timeouts in a row, /health asked along with the last (seed %d)",
    async (seed) => {
      const pod = await WatchedPod.start(options, seed)
      await pod.pass(10_000 + 97 * seed)
      pod.condition = "hangs"
      const tookMs = await pod.until(() => !pod.accepting)
      expect(tookMs).toBeGreaterThan(3 * options.scrapeTimeoutMs - answersMs)
      expect(tookMs).toBeLessThanOrEqual(3 * options.scrapeTimeoutMs + intervalMs)
      expect(pod.health).toBe("unhealthy")
    }
  )

  test("shows no sign of life from then on, until it is well again", async () => {
    const pod = await WatchedPod.start(options)
    await pod.pass(10_000)
    expect(pod.timesWell).toBeGreaterThan(5)
    pod.condition = "hangs"
    await pod.pass(2 * answersMs)
    const before = pod.timesWell
    await pod.pass(30_000)
    expect(pod.timesWell).toBe(before)
    pod.condition = "well"
    await pod.until(() => pod.accepting)
    expect(pod.timesWell).toBeGreaterThan(before)
  })

  test("is asked no more often than its silence and the interval allow", async () => {
    const pod = await WatchedPod.start(options)
    pod.condition = "hangs"
    await pod.pass(20_000)
    const sinceMs = pod.time.nowMs
    await pod.pass(60_000)
    const asked = pod.looksAt("/metrics").filter((atMs) => atMs > sinceMs).length
    expect(asked).toBeLessThanOrEqual(60_000 / (options.scrapeTimeoutMs + 0.8 * options.scrapeIntervalMs) + 1)
  })

  test("for less than the limit of scrapes stays in the pool", async () => {
    const pod = await WatchedPod.start(options)
    pod.condition = "hangs"
    await pod.pass(2 * options.scrapeTimeoutMs)
    pod.condition = "well"
    await pod.pass(10_000)
    expect(pod.accepting).toBe(true)
  })

  test("with its metrics only, while /health is good, stays in the pool and shows signs of life", async () => {
    const pod = await WatchedPod.start(options)
    pod.condition = "starved"
    await pod.pass(10_000)
    const before = pod.timesWell
    await pod.pass(30_000)
    expect(pod.accepting).toBe(true)
    expect(pod.timesWell).toBeGreaterThan(before)
  })
})

describe("a pod that answers no question, but requests", () => {
  const judgedMs = 3 * options.scrapeTimeoutMs + intervalMs

  test.each(seeds)("gets only what no other pod can take, until it answers again (seed %d)", async (seed) => {
    const pod = await WatchedPod.start(options, seed)
    await pod.pass(10_000 + 97 * seed)
    pod.condition = "busy"
    await pod.passAnswering(judgedMs)
    expect([pod.health, pod.accepting, pod.strained]).toEqual(["healthy", true, true])
    expect(pod.reason).toBe(
      "it answers requests, but no question about itself: /health: no whole answer within 1000 ms"
    )
    await pod.passAnswering(60_000)
    expect([pod.health, pod.accepting, pod.strained]).toEqual(["healthy", true, true])
    pod.condition = "well"
    await pod.passAnswering(options.scrapeTimeoutMs + intervalMs + answersMs)
    expect([pod.health, pod.accepting, pod.strained, pod.reason]).toEqual(["healthy", true, false, undefined])
  })

  test("is unhealthy soon after it answers these no more, and strained again once it does", async () => {
    const pod = await WatchedPod.start(options)
    pod.condition = "busy"
    await pod.passAnswering(10_000)
    expect(pod.strained).toBe(true)
    const tookMs = await pod.until(() => !pod.accepting)
    expect(tookMs).toBeLessThanOrEqual(2 * options.scrapeTimeoutMs + options.scrapeTimeoutMs + intervalMs + answersMs)
    expect([pod.health, pod.strained]).toEqual(["unhealthy", false])
    await pod.passAnswering(2 * options.scrapeTimeoutMs + intervalMs)
    expect([pod.health, pod.accepting, pod.strained]).toEqual(["healthy", true, true])
  })

  test.each<"refuses" | "ill">(["refuses", "ill"])("is unhealthy at once when it %s", async (condition) => {
    const pod = await WatchedPod.start(options)
    pod.condition = "busy"
    await pod.passAnswering(10_000)
    pod.condition = condition
    await pod.passAnswering(2 * options.scrapeTimeoutMs + intervalMs)
    expect([pod.health, pod.accepting, pod.strained]).toEqual(["unhealthy", false, false])
  })
})

describe("a pod that refuses connections", () => {
  test.each(seeds)("is unhealthy within two short pauses of the first refusal (seed %d)", async (seed) => {
    const pod = await WatchedPod.start(options, seed)
    await pod.pass(10_000 + 97 * seed)
    pod.condition = "refuses"
    expect(await pod.until(() => !pod.accepting)).toBeLessThanOrEqual(intervalMs + 2 * retryMs + answersMs)
  })

  test.each(seeds)(
    "and is back before two seconds are over takes requests a short pause later (seed %d)",
    async (seed) => {
      const pod = await WatchedPod.start(options, seed)
      pod.condition = "refuses"
      await pod.until(() => !pod.accepting)
      await pod.pass(100 * seed)
      pod.condition = "well"
      expect(await pod.until(() => pod.accepting)).toBeLessThanOrEqual(retryMs + answersMs)
    }
  )

  test.each([3000, 5000, 8000, 60_000])(
    "for %d ms is back within an eighth of that or the interval",
    async (awayMs) => {
      const pod = await WatchedPod.start(options)
      pod.condition = "refuses"
      await pod.pass(awayMs)
      pod.condition = "well"
      const boundMs = Math.min(intervalMs, Math.max(retryMs, (1.2 * awayMs) / 8))
      expect(await pod.until(() => pod.accepting)).toBeLessThanOrEqual(boundMs + answersMs)
    }
  )

  test("for long is asked one question at a time, no more often than a pod that is well", async () => {
    const pod = await WatchedPod.start(options, 1, "refuses")
    await pod.pass(60_000)
    const sinceMs = pod.time.nowMs
    await pod.pass(600_000)
    const asked = pod.looks.filter(({ atMs }) => atMs > sinceMs).length
    expect(asked).toBeLessThanOrEqual(600_000 / (0.8 * options.scrapeIntervalMs))
  })

  test.each([7, 24])("is noticed as soon among %d others that are away", async (others) => {
    const pod = await WatchedPod.start(options)
    for (let other = 0; other < others; other++) pod.away.note({}, true)
    pod.condition = "refuses"
    await pod.until(() => !pod.accepting)
    await pod.pass(1000)
    pod.condition = "well"
    expect(await pod.until(() => pod.accepting)).toBeLessThanOrEqual(retryMs + answersMs)
  })

  test("among a thousand that are away gets its share of the looks that all of them get", async () => {
    const pod = await WatchedPod.start(options)
    for (let other = 0; other < 999; other++) pod.away.note({}, true)
    pod.condition = "refuses"
    await pod.until(() => pod.away.count === 1000)
    const sinceMs = pod.time.nowMs
    await pod.pass(600_000)
    const asked = pod.looks.filter(({ atMs }) => atMs > sinceMs).length
    expect(asked).toBeLessThanOrEqual(600_000 / (0.8 * 10_000) + 1)
    expect(asked).toBeGreaterThanOrEqual(600_000 / (1.2 * 10_000) - 1)
    pod.condition = "well"
    expect(await pod.until(() => pod.accepting)).toBeLessThanOrEqual(1.2 * 10_000 + answersMs)
    expect(pod.away.count).toBe(999)
  })

  test("from the start is asked often at first, so that a pod which starts with the gateway is found", async () => {
    const pod = await WatchedPod.start(options, 1, "refuses")
    await pod.pass(1_500)
    pod.condition = "well"
    expect(await pod.until(() => pod.accepting)).toBeLessThanOrEqual(retryMs + answersMs)
  })
})

test("a pod that says it can't work shows no sign of life by answering", async () => {
  const pod = await WatchedPod.start({ ...options, modelsEveryScrapes: 2 })
  pod.condition = "ill"
  await pod.until(() => !pod.accepting)
  const before = pod.timesWell
  await pod.pass(20_000)
  expect(pod.timesWell).toBe(before)
})

test("a pod that is back while the question about its health still hangs is asked again at once", async () => {
  const pod = await WatchedPod.start({ ...options, scrapeTimeoutMs: 400, scrapeRetryMs: 100 })
  pod.condition = "hangs"
  await pod.until(() => !pod.accepting)
  const asked = pod.looksAt("/health").length
  await pod.until(() => pod.looksAt("/health").length > asked)
  pod.condition = "well"
  expect(await pod.until(() => pod.accepting)).toBeLessThanOrEqual(400 + answersMs)
})

test("the pause after a scrape is within the interval or its share, and never less than the short one", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5000 }),
      fc.integer({ min: 1, max: 5000 }),
      fc.nat(10),
      fc.nat(100_000),
      fc.nat(10_000),
      fc.nat(1000),
      (scrapeIntervalMs, scrapeRetryMs, failures, awayMs, tookMs, awayPods) => {
        const run = { failures, awayMs, tookMs, awayPods }
        const pauseMs = scrapePauseMs({ ...options, scrapeIntervalMs, scrapeRetryMs }, run)
        expect(pauseMs).toBeGreaterThanOrEqual(0)
        const shareMs = failures < options.unhealthyAfterScrapes ? 0 : (1000 * awayPods) / options.awayScrapesPerS
        expect(pauseMs).toBeLessThanOrEqual(Math.max(scrapeIntervalMs, shareMs))
        expect(pauseMs + tookMs).toBeGreaterThanOrEqual(Math.min(scrapeIntervalMs, scrapeRetryMs))
      }
    )
  )
})
