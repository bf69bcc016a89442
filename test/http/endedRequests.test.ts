import { heapStats } from "bun:jsc"
import { expect, test } from "bun:test"
import { RawPod } from "./RawPod.ts"
import { TestFront } from "./TestFront.ts"

const REQUESTS = 60

/** A timer that runs keeps its request, and what that holds. */
const keptTimers = (): number => {
  Bun.gc(true)
  return heapStats().objectTypeCounts["Timeout"] ?? 0
}

test.each(
  [
    ["answered", [200, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]],
    ["refused by its pod", [500, "HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\n{}"]]
  ] as const
)("no timer keeps a request that was %s, however long it might have taken", async (_how, [status, text]) => {
  using pod = new RawPod((socket) => void socket.write(text))
  await using front = new TestFront([pod.address], { options: { requestTimeoutMs: 3_600_000 } })
  const before = keptTimers()
  for (let i = 0; i < REQUESTS; i++) {
    const answer = await front.post("/v1/completions", { model: "m", prompt: "p" })
    expect([answer.status, await answer.text()]).toEqual([status, "{}"])
  }
  await front.quiet()
  // The collector looks at the stack conservatively, so a few may stay.
  expect(keptTimers() - before).toBeLessThan(REQUESTS / 4)
})
