import { afterEach, expect, test } from "bun:test"
import { UpstreamClient } from "../../src/http/upstream/UpstreamClient.ts"
import { upstreamDefaults, type UpstreamOptions } from "../../src/http/upstream/UpstreamOptions.ts"
import type { PiecedBody } from "../../src/http/upstream/UpstreamRequest.ts"
import { RawPod } from "./RawPod.ts"
import { ok, sendUpstream } from "./sendUpstream.ts"

const mib = 1024 * 1024

const clients: Array<UpstreamClient> = []
const newClient = (options: Partial<UpstreamOptions> = {}): UpstreamClient => {
  const client = new UpstreamClient({ ...upstreamDefaults, ...options })
  clients.push(client)
  return client
}
afterEach(() => clients.splice(0).forEach((client) => client.close()))

/** Zeros, and how many of them were asked for. */
class Zeros implements PiecedBody {
  readonly byteLength: number
  asked = 0

  constructor(byteLength: number) {
    this.byteLength = byteLength
  }

  read(at: number, into: Uint8Array): Promise<number> {
    const length = Math.min(into.length, this.byteLength - at)
    into.fill(0, 0, length)
    this.asked = Math.max(this.asked, at + length)
    return Promise.resolve(length)
  }
}

test("a pod that reads nothing gets no more than its socket takes", async () => {
  using pod = new RawPod(() => {}, undefined, (socket) => socket.pause())
  const client = newClient({ firstByteTimeoutMs: 200, sweepMs: 10 })
  const body = new Zeros(200 * mib)
  const { error } = await sendUpstream(client, pod.address, { body }).answer
  expect(error?.kind).toBe("first-byte-timeout")
  expect(body.asked).toBeLessThan(20 * mib)
})

test("a body that can't be read on is no fault of the pod", async () => {
  using pod = new RawPod(() => {})
  const client = newClient()
  const body = { byteLength: mib, read: () => Promise.reject(new Error("the disk is gone")) }
  const { ends, error } = await sendUpstream(client, pod.address, { body }).answer
  expect([error, ends]).toEqual([{ kind: "unsent", message: "the disk is gone", answered: false }, 1])
})

test("an answer that comes before the whole body is taken, and its socket is not used again", async () => {
  using pod = new RawPod(() => {}, undefined, (socket) => socket.write(ok("too large")))
  const client = newClient()
  const answer = await sendUpstream(client, pod.address, { body: new Zeros(200 * mib) }).answer
  expect([answer.body.toString(), answer.ends, client.counts().open]).toEqual(["too large", 1, 0])
})
