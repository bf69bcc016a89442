import { afterEach, describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import type { PodAccess, PodTls } from "../../src/core/PodAccess.ts"
import type { PodSigns } from "../../actors/PoolView.ts"
import type { UpstreamCall } from "../../src/http/upstream/UpstreamCall.ts"
import type { PodWatch } from "../../src/http/upstream/PodPool.ts"
import { UpstreamClient } from "../../src/http/upstream/UpstreamClient.ts"
import { upstreamDefaults, type UpstreamOptions } from "../../src/http/upstream/UpstreamOptions.ts"
import { pulledPod } from "./pulledPod.ts"
import { deadAddress, RawPod } from "./RawPod.ts"
import { ok, sendUpstream as send } from "./sendUpstream.ts"
import { tlsPair } from "./tlsPair.ts"

const clients: Array<UpstreamClient> = []
const makeClient = (options: Partial<UpstreamOptions> = {}): UpstreamClient => {
  const client = new UpstreamClient({ ...upstreamDefaults, sweepMs: 10, ...options })
  clients.push(client)
  return client
}

/** A client whose time passes only as the test wants; its sweeps come by themselves. */
const clockedClient = (
  lostPodGraceMs: number,
  signs: () => PodSigns,
  { answers = () => {}, hasOther = () => true }: Partial<PodWatch> = {}
) => {
  let nowMs = 0
  let atSweep = (): void => {}
  const signsOf = (): PodSigns => {
    atSweep()
    return signs()
  }
  const watch = { signsOf, hasOther, answers }
  const options = { ...upstreamDefaults, sweepMs: 2, lostPodGraceMs, lonePodGraceMs: 3 * lostPodGraceMs }
  const client = new UpstreamClient(options, watch, () => nowMs)
  clients.push(client)
  const skip = (ms: number): void => void (nowMs += ms)
  /** Resolves when a whole sweep has seen the new time, and what it ended is told; sweeps end with the last socket. */
  const pass = async (ms: number): Promise<void> => {
    skip(ms)
    // The first begins with the question after which it looks at its sockets, the second is behind that.
    for (let i = 0; i < 2; i++) await new Promise<void>((resolve) => (atSweep = resolve))
    await Bun.sleep(2)
  }
  return { client, pass, skip }
}

afterEach(() => {
  for (const client of clients.splice(0)) client.close()
})

const accessWith = (tls: PodTls, token?: string): PodAccess => ({ tls: () => tls, tokenFor: () => token })

describe("UpstreamClient", () => {
  test("the request goes out as given, with host and content-length", async () => {
    using pod = new RawPod((socket) => socket.write(ok("hi")))
    const { answer } = send(makeClient(), pod.address, { body: "héllo" })
    expect((await answer).body.toString()).toBe("hi")
    expect(pod.received).toEqual([
      `POST /v1/x?y=z HTTP/1.1\r\nhost: ${pod.address.id}\r\na: b\r\ncontent-length: 6\r\n\r\n${
        Buffer.from("héllo").toString("latin1")
      }`
    ])
  })

  test("one socket serves many requests in a row", async () => {
    using pod = new RawPod((socket, _request, connection, nth) => socket.write(ok(`${connection}.${nth}`)))
    const client = makeClient()
    const answers: Array<string> = []
    for (let i = 0; i < 3; i++) answers.push((await send(client, pod.address).answer).body.toString())
    expect(answers).toEqual(["0.0", "0.1", "0.2"])
    expect(client.counts()).toEqual({ open: 1, idle: 1 })
  })

  test("an idle socket is dropped before the pod's keep-alive ends", async () => {
    using pod = new RawPod((socket) => socket.write(ok("")))
    await send(makeClient({ idleMaxMs: 20 }), pod.address).answer
    await pod.until((pod) => pod.closedAtMs.length === 1)
  })

  test("an idle socket is not used again at its age, though no sweep has closed it yet", async () => {
    using pod = new RawPod((socket, _request, connection) => socket.write(ok(`${connection}`)))
    let nowMs = 0
    const client = new UpstreamClient({ ...upstreamDefaults, sweepMs: 1e6, idleMaxMs: 20 }, undefined, () => nowMs)
    clients.push(client)
    const servedBy: Array<string> = []
    for (const idleMs of [0, 19, 20]) {
      nowMs += idleMs
      servedBy.push((await send(client, pod.address).answer).body.toString())
    }
    expect(servedBy).toEqual(["0", "0", "1"])
  })

  test("no more idle sockets are kept than allowed", async () => {
    using pod = new RawPod((socket) => socket.write(ok("")))
    const client = makeClient({ idleMax: 2 })
    await Promise.all(Array.from({ length: 5 }, () => send(client, pod.address).answer))
    expect(client.counts()).toEqual({ open: 2, idle: 2 })
  })

  test("beyond the limit of sockets a request is refused, not queued", async () => {
    using pod = new RawPod(() => {})
    const client = makeClient({ connectionsMax: 1 })
    const first = send(client, pod.address)
    expect((await send(client, pod.address).answer).error?.kind).toBe("exhausted")
    first.call.abort()
  })

  test("a stale socket is noticed and the request sent again on a fresh one", async () => {
    using pod = new RawPod((socket, _request, connection, nth) => {
      if (connection === 0 && nth === 1) socket.terminate()
      else socket.write(ok(`${connection}.${nth}`))
    })
    const client = makeClient({ staleSocketMs: 60_000 })
    await send(client, pod.address).answer
    const second = await send(client, pod.address, { body: "again" }).answer
    expect([second.body.toString(), second.error]).toEqual(["1.0", undefined])
    expect(pod.received[2]).toEndWith("\r\n\r\nagain")
  })

  test("a fresh socket that closes before an answer is broken, without a second try", async () => {
    using pod = new RawPod((socket) => void socket.end())
    const { error, ends } = await send(makeClient(), pod.address).answer
    expect([error?.kind, error?.answered, ends, pod.connections]).toEqual(["broken", false, 1, 1])
  })

  test("nothing listening is refused", async () => {
    expect((await send(makeClient(), deadAddress()).answer).error?.kind).toBe("refused")
  })

  test("a name that does not resolve is refused", async () => {
    const address = { ...deadAddress(), hostname: "no-such-host.invalid" }
    expect((await send(makeClient(), address).answer).error?.kind).toBe("refused")
  })

  test("a pod that never answers runs into the first-byte timeout and its socket is closed", async () => {
    using pod = new RawPod(() => {})
    const { error } = await send(makeClient({ firstByteTimeoutMs: 30 }), pod.address).answer
    expect(error?.kind).toBe("first-byte-timeout")
    await pod.until((pod) => pod.closedAtMs.length === 1)
  })

  test("a pod that falls silent inside its answer runs into the silence timeout", async () => {
    using pod = new RawPod((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"))
    const { error, body } = await send(makeClient({ silenceTimeoutMs: 30 }), pod.address).answer
    expect([error?.kind, body.toString()]).toEqual(["silent", "he"])
  })

  test("a stream whose head came and nothing more runs into the first-byte timeout, not the longer silence", async () => {
    using pod = new RawPod((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    })
    const client = makeClient({ firstByteTimeoutMs: 30, silenceTimeoutMs: 60_000 })
    expect((await send(client, pod.address).answer).error?.kind).toBe("first-byte-timeout")
  })

  test("an unhealthy pod is lost when all its sockets are silent, and not while one of them speaks", async () => {
    let speak = (): void => {}
    using pod = new RawPod((socket, request) => {
      if (!request.endsWith("speak")) return
      socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n")
      speak = () => void socket.write("1\r\ny\r\n")
    })
    const { client, pass, skip } = clockedClient(1_000, () => ({ isUnhealthy: true, isInDoubt: true, timesWell: 1 }))
    let heard = Promise.withResolvers<void>()
    let ended = 0
    const onData = () => heard.resolve()
    const answers = [send(client, pod.address, { body: "speak", onData }), send(client, pod.address, { body: "mute" })]
      .map(({ answer }) => answer.then((value) => (ended++, value)))
    await pod.until((pod) => pod.received.length === 2)
    await pass(0)
    for (let i = 0; i < 5; i++) {
      await heard.promise
      await pass(600)
      heard = Promise.withResolvers()
      speak()
    }
    await heard.promise
    await pass(999)
    expect(ended).toBe(0)
    skip(1_000)
    expect((await Promise.all(answers)).map(({ error }) => error?.kind)).toEqual(["lost", "lost"])
  })

  test("an unhealthy pod's answer is not lost while its client takes it slowly, but when the client has caught up", async () => {
    using pod = new RawPod((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"))
    const { client, pass, skip } = clockedClient(1_000, () => ({ isUnhealthy: true, isInDoubt: true, timesWell: 1 }))
    const heard = Promise.withResolvers<void>()
    let ended = 0
    const { answer, call } = send(client, pod.address, { onData: () => heard.resolve() })
    const told = answer.then((value) => (ended++, value))
    await heard.promise
    call.pause()
    await pass(0)
    await pass(5_000)
    expect(ended).toBe(0)
    call.resume()
    await pass(0)
    skip(1_000)
    expect((await told).error?.kind).toBe("lost")
  })

  test("bytes of answers are told of a pod in doubt, and of no other", async () => {
    let speak = (): void => {}
    using pod = new RawPod((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe")
      speak = () => void socket.write("l")
    })
    let isInDoubt = false
    let told = 0
    const watched = () => ({ isUnhealthy: false, isInDoubt, timesWell: 1 })
    const { client, pass } = clockedClient(1_000, watched, { answers: () => void told++ })
    let heard = Promise.withResolvers<void>()
    void send(client, pod.address, { onData: () => heard.resolve() })
    await heard.promise
    await pass(100)
    expect(told).toBe(0)
    isInDoubt = true
    await pass(100)
    expect(told).toBe(0)
    heard = Promise.withResolvers()
    speak()
    await heard.promise
    await pass(100)
    expect(told).toBe(1)
    await pass(100)
    expect(told).toBe(1)
  })

  test("silence before the pod is known to be unhealthy counts", async () => {
    using pod = new RawPod(() => {})
    let isUnhealthy = false
    const { client, pass } = clockedClient(1_000, () => ({ isUnhealthy, isInDoubt: isUnhealthy, timesWell: 1 }))
    let ended = 0
    const answer = send(client, pod.address).answer.then((value) => (ended++, value))
    await pod.until((pod) => pod.received.length === 1)
    await pass(0)
    await pass(1_200)
    expect(ended).toBe(0)
    isUnhealthy = true
    expect((await answer).error?.kind).toBe("lost")
  })

  test.each([["after the longer time", 1], ["once another one comes", 0]])(
    "an unhealthy pod that no other could stand in for is lost %s",
    async (_, leftMs) => {
      using pod = new RawPod(() => {})
      let hasOther = false
      const ill = () => ({ isUnhealthy: true, isInDoubt: true, timesWell: 1 })
      const { client, pass, skip } = clockedClient(1_000, ill, { hasOther: () => hasOther })
      let ended = 0
      const answer = send(client, pod.address).answer.then((value) => (ended++, value))
      await pod.until((pod) => pod.received.length === 1)
      await pass(0)
      await pass(2_999)
      expect(ended).toBe(0)
      skip(leftMs)
      hasOther = leftMs === 0
      expect((await answer).error?.kind).toBe("lost")
    }
  )

  test("an unhealthy pod is not lost while looks at it find it well", async () => {
    using pod = new RawPod(() => {})
    let timesWell = 0
    let isWell = true
    const { client, pass, skip } = clockedClient(500, () => ({
      isUnhealthy: true,
      isInDoubt: true,
      timesWell: isWell ? timesWell++ : timesWell
    }))
    let ended = 0
    const answer = send(client, pod.address).answer.then((value) => (ended++, value))
    await pod.until((pod) => pod.received.length === 1)
    await pass(0)
    await pass(800)
    expect(ended).toBe(0)
    isWell = false
    await pass(0)
    await pass(499)
    expect(ended).toBe(0)
    skip(1)
    expect((await answer).error?.kind).toBe("lost")
  })

  test("a pod that closes inside its answer gives truncated", async () => {
    using pod = new RawPod((socket) => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"))
    const { error, ends } = await send(makeClient(), pod.address).answer
    expect([error?.kind, error?.answered, ends]).toEqual(["truncated", true, 1])
  })

  test("a body without a length ends with the connection", async () => {
    using pod = new RawPod((socket) => void socket.end("HTTP/1.1 200 OK\r\n\r\nall of it"))
    const { error, body } = await send(makeClient(), pod.address).answer
    expect([error, body.toString()]).toEqual([undefined, "all of it"])
  })

  test("garbage behind an answer never becomes the next answer", async () => {
    using pod = new RawPod((socket, _request, connection) =>
      socket.write(`${ok(`${connection}`)}HTTP/1.1 500 No\r\n\r\n`)
    )
    const client = makeClient()
    await send(client, pod.address).answer
    const second = await send(client, pod.address).answer
    expect([second.head?.status, second.body.toString()]).toEqual([200, "1"])
  })

  test("bytes on an idle socket close it", async () => {
    using pod = new RawPod((socket) => {
      socket.write(ok("x"))
      setTimeout(() => socket.write("HTTP/1.1 500 No\r\n\r\n"), 5)
    })
    const client = makeClient({ idleMaxMs: 1e6 })
    await send(client, pod.address).answer
    await pod.until((pod) => pod.closedAtMs.length === 1)
    expect(client.counts().open).toBe(0)
  })

  test("not HTTP is a protocol error", async () => {
    using pod = new RawPod((socket) => socket.write("220 smtp.example ESMTP\r\n\r\n"))
    expect((await send(makeClient(), pod.address).answer).error?.kind).toBe("protocol")
  })

  test("abort closes the socket at once and silences the handler", async () => {
    using pod = new RawPod((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhe"))
    const { promise, resolve } = Promise.withResolvers<void>()
    let calls = 0
    send(makeClient(), pod.address, {
      onData: (call) => {
        calls++
        call.abort()
        resolve()
      }
    })
    await promise
    await pod.until((pod) => pod.closedAtMs.length === 1)
    expect(calls).toBe(1)
  })

  test("abort during the connect is quiet", async () => {
    using pod = new RawPod((socket) => socket.write(ok("")))
    const client = makeClient()
    const { call } = send(client, pod.address)
    call.abort()
    await pod.until((pod) => pod.connections === 1)
    expect((await send(client, pod.address).answer).head?.status).toBe(200)
    expect(pod.received).toHaveLength(1)
  })

  test("a body far larger than the socket's buffer arrives whole", async () => {
    const body = new Uint8Array(12_000_000).map((_, i) => (i * 31) >> 3)
    let sum = 0n
    using pod = new RawPod((socket, request) => {
      sum = BigInt(Bun.hash(Buffer.from(request.slice(request.indexOf("\r\n\r\n") + 4), "latin1")))
      socket.write(ok("got it"))
    })
    expect((await send(makeClient(), pod.address, { body }).answer).body.toString()).toBe("got it")
    expect(sum).toBe(BigInt(Bun.hash(body)))
  })

  test("a paused answer stops the pod, and resuming brings all of it", async () => {
    const piece = "x".repeat(1 << 16)
    const total = 400
    const pod = pulledPod(piece, total)
    const address = { ...deadAddress(), port: pod.port }
    const { promise: paused, resolve } = Promise.withResolvers<UpstreamCall>()
    let first = true
    const { answer } = send(makeClient({ silenceTimeoutMs: 300 }), address, {
      onData: (call) => {
        if (!first) return
        first = false
        call.pause()
        resolve(call)
      }
    })
    const call = await paused
    await pod.atRest(400)
    expect(pod.written()).toBeLessThan(total)
    call.resume()
    expect((await answer).body.length).toBe(total * piece.length)
    void pod.stop()
  })

  test("an early answer to a request that is still being sent ends the socket", async () => {
    using pod = new RawPod(() => {})
    const early = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => void (socket.pause(), socket.write("HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n")),
        data: () => {}
      }
    })
    const client = makeClient()
    const { head } = await send(client, { ...pod.address, port: early.port }, { body: new Uint8Array(20_000_000) })
      .answer
    expect(head?.status).toBe(413)
    expect(client.counts().open).toBe(0)
    early.stop(true)
  })

  test("a pod behind TLS is reached when its certificate is trusted", async () => {
    using pod = new RawPod((socket) => socket.write(ok("secret")), tlsPair)
    const body = "x".repeat(1_000_000)
    const trusting = makeClient({ access: accessWith({ ca: tlsPair.cert }) })
    expect((await send(trusting, pod.address, { body }).answer).body.toString()).toBe("secret")
    expect((await send(trusting, pod.address).answer).body.toString()).toBe("secret")
    expect(pod.connections).toBe(1)
  })

  test("a pod behind TLS with an unknown certificate is refused and sees no request, unless told otherwise", async () => {
    using pod = new RawPod((socket) => socket.write(ok("secret")), tlsPair)
    const { error } = await send(makeClient(), pod.address, { body: "mine" }).answer
    expect([error?.kind, pod.received]).toEqual(["refused", []])
    const careless = makeClient({ access: accessWith({ rejectUnauthorized: false }) })
    expect((await send(careless, pod.address).answer).body.toString()).toBe("secret")
  })

  test("a pod that speaks no TLS where it should is refused", async () => {
    using pod = new RawPod((socket) => socket.write(ok("plain")))
    const { error } = await send(makeClient({ connectTimeoutMs: 500 }), { ...pod.address, tls: true }).answer
    expect(error?.answered).toBe(false)
    expect(pod.received).toEqual([])
  })

  test("whatever bytes a pod sends, in whatever pieces, the exchange ends exactly once", async () => {
    const good = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    const script = { bytes: Buffer.alloc(0), cuts: [] as ReadonlyArray<number> }
    using pod = new RawPod((socket) => {
      const bounds = [
        ...new Set([0, ...script.cuts.map((cut) => cut % (script.bytes.length + 1)), script.bytes.length])
      ]
        .sort((a, b) => a - b)
      const next = (i: number): void => {
        const from = bounds[i] ?? 0
        const to = bounds[i + 1]
        if (to === undefined) return void socket.end()
        socket.write(script.bytes.subarray(from, to))
        setImmediate(() => next(i + 1))
      }
      next(0)
    })
    const client = makeClient()
    const changes = fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(changes, fc.array(fc.nat(100), { maxLength: 4 }), async (changes, cuts) => {
        script.bytes = Buffer.from(good)
        for (const [at, byte] of changes) script.bytes[at % script.bytes.length] = byte
        script.cuts = cuts
        const { ends, error, body } = await send(client, pod.address).answer
        expect(ends).toBe(1)
        if (changes.length === 0) expect([error, body.toString()]).toEqual([undefined, "hello"])
      }),
      { numRuns: 150 }
    )
  })
})
