import { afterEach, describe, expect, test } from "bun:test"
import { createServer, type Server, type Socket } from "node:net"
import { type PodAddress, podAddress } from "../../src/core/Pod.ts"
import { UpstreamClient } from "../../src/http/upstream/UpstreamClient.ts"
import { upstreamDefaults, type UpstreamOptions } from "../../src/http/upstream/UpstreamOptions.ts"
import { RawPod } from "./RawPod.ts"
import { ok, sendUpstream } from "./sendUpstream.ts"

const cleanups: Array<() => void> = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const makeClient = (options: Partial<UpstreamOptions> = {}): UpstreamClient => {
  const client = new UpstreamClient({ ...upstreamDefaults, sweepMs: 10, ...options })
  cleanups.push(() => client.close())
  return client
}

interface HalfClosedPod {
  readonly address: PodAddress
  connections: number
  /** Resolves when the gateway has given up its side of the first connection too. */
  readonly letGo: Promise<void>
}

/** A pod that says so much to each request, closes its side, and goes on reading. */
const halfClosedPod = async (answer: string): Promise<HalfClosedPod> => {
  const letGo = Promise.withResolvers<void>()
  const sockets: Array<Socket> = []
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket)
    pod.connections++
    socket.on("data", () => socket.end(answer))
    socket.on("error", () => {})
    socket.once("close", () => letGo.resolve())
    socket.once("end", () => letGo.resolve())
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as { readonly port: number }
  const pod = { address: podAddress("127.0.0.1", port, false), connections: 0, letGo: letGo.promise }
  return pod
}

describe("a pod that closes its side and goes on reading", () => {
  test.each<readonly [where: string, sends: string, kind: string | undefined, body: string]>([
    ["before an answer", "", "broken", ""],
    ["inside the status line", "HTTP/1.1 20", "truncated", ""],
    ["inside the headers", "HTTP/1.1 200 OK\r\ncontent-le", "truncated", ""],
    ["behind the headers", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", "truncated", ""],
    ["inside a body with a length", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe", "truncated", "he"],
    ["inside a chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe", "truncated", "he"],
    ["before the last chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n", "truncated", "he"],
    ["at the end of a body without a length", "HTTP/1.1 200 OK\r\n\r\nhello", undefined, "hello"],
    ["after a whole answer", ok("hello"), undefined, "hello"]
  ])("%s", async (_where, sends, kind, text) => {
    const pod = await halfClosedPod(sends)
    const client = makeClient()
    const { body, ends, error } = await sendUpstream(client, pod.address, { body: "x" }).answer
    expect([error?.kind, body.toString(), ends]).toEqual([kind, text, 1])
    await pod.letGo
    expect(client.counts()).toEqual({ open: 0, idle: 0 })
  })

  test("is not what a reset looks like: that cuts a body without a length", async () => {
    using pod = new RawPod((socket) => {
      socket.write("HTTP/1.1 200 OK\r\n\r\nhel")
      setTimeout(() => socket.terminate(), 20)
    })
    const { body, error } = await sendUpstream(makeClient(), pod.address).answer
    expect([error?.kind, body.toString()]).toEqual(["truncated", "hel"])
  })

  test("after a whole answer is not asked over that socket again", async () => {
    const pod = await halfClosedPod(ok("hello"))
    const client = makeClient()
    await sendUpstream(client, pod.address).answer
    await pod.letGo
    expect((await sendUpstream(client, pod.address).answer).body.toString()).toBe("hello")
    expect(pod.connections).toBe(2)
  })
})

/** Answers the first request of each socket and closes over the second, so long after it came. */
const closingPod = (close: (socket: { end(): void; terminate(): void }) => void, afterMs: number): RawPod => {
  const pod = new RawPod((socket, _request, connection, nth) => {
    if (connection > 0 || nth === 0) socket.write(ok(`${connection}.${nth}`))
    else setTimeout(() => close(socket), afterMs)
  })
  cleanups.push(() => pod[Symbol.dispose]())
  return pod
}

describe("a kept socket that closes over a request", () => {
  test.each([
    ["with a FIN", (socket: { end(): void }) => socket.end()],
    ["with a reset", (socket: { terminate(): void }) => socket.terminate()]
  ])("at once, %s, was stale: the request goes out again on a fresh one", async (_how, close) => {
    const pod = closingPod(close, 0)
    const client = makeClient({ staleSocketMs: 60_000 })
    await sendUpstream(client, pod.address).answer
    const { body, error } = await sendUpstream(client, pod.address).answer
    expect([body.toString(), error, pod.received.length]).toEqual(["1.0", undefined, 3])
  })

  test.each([
    ["with a FIN", (socket: { end(): void }) => socket.end()],
    ["with a reset", (socket: { terminate(): void }) => socket.terminate()]
  ])(
    "after a while, %s, had a pod that worked on it: the request is broken and not sent again",
    async (_how, close) => {
      const pod = closingPod(close, 50)
      const client = makeClient({ staleSocketMs: 10 })
      await sendUpstream(client, pod.address).answer
      const { error, ends } = await sendUpstream(client, pod.address).answer
      expect([error?.kind, error?.answered, ends, pod.received.length]).toEqual(["broken", false, 1, 2])
    }
  )

  test("is a second time no reason to send it once more", async () => {
    const pod = new RawPod((socket, request, _connection, nth) => {
      if (nth > 0 || request.endsWith("second")) socket.terminate()
      else socket.write(ok("first"))
    })
    cleanups.push(() => pod[Symbol.dispose]())
    const client = makeClient({ staleSocketMs: 60_000 })
    await sendUpstream(client, pod.address).answer
    const { error } = await sendUpstream(client, pod.address, { body: "second" }).answer
    expect([error?.kind, pod.received.length]).toEqual(["broken", 3])
  })
})

describe("a request that must not run twice", () => {
  test("goes over a socket of its own, which may serve others afterwards", async () => {
    using pod = new RawPod((socket, _request, connection, nth) => socket.write(ok(`${connection}.${nth}`)))
    const client = makeClient()
    const answers: Array<string> = []
    for (const isRepeatable of [true, false, true]) {
      const { answer } = sendUpstream(client, pod.address, { isRepeatable })
      answers.push((await answer).body.toString())
    }
    expect(answers).toEqual(["0.0", "1.0", "1.1"])
  })

  test("is never sent again, however soon its socket closes", async () => {
    const pod = new RawPod((socket, request) => {
      if (request.endsWith("once")) socket.terminate()
      else socket.write(ok("kept"))
    })
    cleanups.push(() => pod[Symbol.dispose]())
    const client = makeClient({ staleSocketMs: 60_000 })
    await sendUpstream(client, pod.address).answer
    const { error } = await sendUpstream(client, pod.address, { body: "once", isRepeatable: false }).answer
    expect([error?.kind, pod.received.length]).toEqual(["broken", 2])
  })

  test("takes the place of an idle socket where there may be no more", async () => {
    using pod = new RawPod((socket, _request, connection) => socket.write(ok(`${connection}`)))
    const client = makeClient({ connectionsMax: 1 })
    await sendUpstream(client, pod.address).answer
    const { answer } = sendUpstream(client, pod.address, { isRepeatable: false })
    expect((await answer).body.toString()).toBe("1")
    expect(client.counts()).toEqual({ open: 1, idle: 1 })
  })
})
