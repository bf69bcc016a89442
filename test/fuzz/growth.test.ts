import { describe, expect, test } from "bun:test"
import { OutputLengths } from "../../src/core/OutputLengths.ts"
import { WaitingRoom } from "../../src/core/waiting/WaitingRoom.ts"
import { BytesPerToken } from "../../src/http/features/BytesPerToken.ts"
import { makeFrontMetrics } from "../../src/telemetry/frontMetrics.ts"
import { MetricRegistry } from "../../src/telemetry/MetricRegistry.ts"
import { RawPod } from "../http/RawPod.ts"
import { TestFront } from "../http/TestFront.ts"
import { entryOf } from "../core/waiting/waiters.ts"

/** Bytes of the heap that are in use. */
const heapBytes = (): number => {
  Bun.gc(true)
  return process.memoryUsage().heapUsed
}

const names = 60_000
const longName = (index: number): string => `${index} ${"n".repeat(400)}`
/** Far below the names themselves, which take 24 MB. */
const keptBytesMax = 8 * 1024 * 1024

describe("names that clients choose leave no more behind than their limit", () => {
  const measured = (use: (name: string) => void): number => {
    const before = heapBytes()
    for (let i = 0; i < names; i++) use(longName(i))
    return heapBytes() - before
  }

  test("models, in what is learned of them", () => {
    const lengths = new OutputLengths(256, 100)
    const bytes = new BytesPerToken(256)
    const grown = measured((name) => {
      lengths.learn(name, 5)
      bytes.learn(name, 400, 100)
    })
    expect(Object.keys(lengths.export()).length).toBe(256)
    expect(grown).toBeLessThan(keptBytesMax)
  })

  test("models and routes, in the metrics", () => {
    const registry = new MetricRegistry(100)
    const metrics = makeFrontMetrics(registry, { routesMax: 20, modelsMax: 20, podsMax: 20 })
    const grown = measured((name) => {
      metrics.tokens(name, 1, 1, 1)
      metrics.requestEnded(name, 200, "finished", 0.1)
      metrics.firstByte(name, 0.1)
      metrics.ttft(name, 0.1, 0.1)
      metrics.retried(name)
      metrics.timedOut(name)
    })
    expect(registry.render().length).toBeLessThan(256 * 1024)
    expect(grown).toBeLessThan(keptBytesMax)
  })

  test("flows, in the waiting room", () => {
    const room = new WaitingRoom<number>({ requestsMax: 100, bytesMax: 1e9, ageingPerS: 0.1 })
    const grown = measured((flow) => {
      const entry = entryOf(room, 1, { flow })
      room.enter(entry)
      room.leave(entry, true)
    })
    expect(room.bandCounts().every(({ count }) => count === 0)).toBe(true)
    expect(grown).toBeLessThan(keptBytesMax)
  })
})

test("requests of ever other paths, models, keys and names leave nothing behind", async () => {
  using pod = new RawPod((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"))
  await using front = new TestFront([pod.address])
  const send = async (from: number, to: number): Promise<void> => {
    for (let i = from; i < to; i++) {
      const headers = { "x-session-id": longName(i), "x-request-id": longName(i), authorization: `Bearer ${i}` }
      const path = i % 4 === 0 ? `/v1/${i}` : `/v1/chat/completions?a=${i}`
      await (await front.post(path, { model: longName(i), messages: [{ role: "user", content: longName(i) }] }, {
        headers
      })).text()
    }
    await front.quiet()
    // What the test itself writes down.
    front.booked.length =
      front.refusals.length =
      front.scheduler.picks.length =
      pod.received.length =
      front.scheduler.firstTokens.length =
        0
    front.scheduler.ends.clear()
  }
  await send(0, 1_000)
  const before = heapBytes()
  await send(1_000, 2_500)
  expect(heapBytes() - before).toBeLessThan(4 * 1024 * 1024)
})
