import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { X509Certificate } from "node:crypto"
import http2 from "node:http2"
import tls from "node:tls"
import { MessageSplitter } from "../../src/extproc/grpc/MessageSplitter.ts"
import { selfSignedTls } from "../../src/extproc/selfSignedTls.ts"
import { base64, GrpcClientCall, grpcFrame, headerMap, processingRequestBytes } from "./EnvoyStream.ts"
import {
  chatBody,
  chatHeaders,
  closed,
  fullDuplex,
  heardBody,
  pods,
  shippedOptions,
  tellChat,
  TestPicker
} from "./TestPicker.ts"

const processPath = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"

describe("a stream ends with an error status", () => {
  test("when Envoy closes it before a pod was picked", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.tell({ requestHeaders: { headers: headerMap(chatHeaders) }, protocolConfig: fullDuplex })
    stream.halfClose()
    expect((await stream.end).status).toBe(1)
    await picker.quiet()
    expect(picker.booked).toEqual(["/v1/chat/completions 499 aborted"])
  })

  test("when Envoy closes it without a word", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.halfClose()
    expect((await stream.end).status).toBe(1)
    await picker.quiet()
    expect(picker.booked).toEqual([])
  })

  test("when its bytes are no message", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.send(Buffer.from([0x12, 0xff, 0x01]))
    expect((await stream.end).status).toBe(3)
  })

  test("when a message is about nothing", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.tell({})
    expect(await stream.end).toEqual({ status: 3, message: "the message is about no part of a request" })
  })

  test("when it stops inside a message", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.sendBytes(Buffer.from([0, 0, 0, 0, 9, 1]))
    stream.halfClose()
    expect(await stream.end).toEqual({ status: 3, message: "the stream ends inside a message" })
  })

  test("when a message is compressed", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.sendBytes(grpcFrame(Buffer.from([1]), true))
    expect((await stream.end).status).toBe(12)
  })

  test("when a message is larger than the bound, before it is all there", async () => {
    await using picker = await TestPicker.start({ options: { messageBytesMax: 1000 } })
    const stream = picker.open()
    stream.sendBytes(Buffer.from([0, 0, 0, 4, 0]))
    const end = await stream.end
    expect(end.status).toBe(8)
    expect(end.message).toContain("extproc.messageBytesMax")
  })

  const headers = { requestHeaders: { headers: headerMap(chatHeaders) }, protocolConfig: fullDuplex }
  const body = { requestBody: { body: Buffer.from(chatBody()).toString("base64"), endOfStream: true } }
  const wrongOrders: ReadonlyArray<readonly [string, ReadonlyArray<Parameters<typeof processingRequestBytes>[0]>]> = [
    ["headers come twice", [headers, headers]],
    ["a body comes first", [body]],
    ["an answer comes first", [headers, { responseHeaders: {} }]],
    ["a body goes on behind its end", [headers, body, body]]
  ]
  test.each(wrongOrders)("when %s", async (_name, messages) => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.sendBytes(Buffer.concat(messages.map((message) => grpcFrame(processingRequestBytes(message)))))
    expect((await stream.end).status).toBe(3)
    await picker.quiet()
    expect(picker.scheduler.outcomes().every((outcome) => outcome === "aborted")).toBe(true)
  })

  test("when Envoy only lets it watch", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.tell({ requestHeaders: { headers: headerMap(chatHeaders) }, observabilityMode: true })
    expect((await stream.end).status).toBe(9)
  })

  test("when the method is none of ours", async () => {
    await using picker = await TestPicker.start()
    expect((await new GrpcClientCall(picker.session, "/some.Service/Call").end).status).toBe(12)
    expect((await new GrpcClientCall(picker.session, "/grpc.health.v1.Health/Watch").end).status).toBe(12)
  })
})

test("whatever bytes come, the call ends and the picker goes on", async () => {
  await using picker = await TestPicker.start()
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, whole) => {
      const stream = picker.open()
      stream.sendBytes(whole ? grpcFrame(bytes) : bytes)
      stream.halfClose()
      expect((await stream.end).status).toBeGreaterThan(0)
    }),
    { numRuns: 200 }
  )
  expect(picker.logged).toEqual([])
  const stream = picker.open()
  tellChat(stream)
  expect((await stream.hear()).destination).toContain(pods[0]!.id)
})

test("thousands of reset streams on one connection are no attack", async () => {
  await using picker = await TestPicker.start()
  for (let round = 0; round < 30; round++) {
    await Promise.all(Array.from({ length: 100 }, async () => {
      const stream = picker.open()
      tellChat(stream)
      await stream.hear()
      stream.reset()
      await closed(stream)
    }))
  }
  await picker.quiet()
  expect(picker.scheduler.outcomes().length).toBe(3000)
})

test("forty bodies of 2 MB at once on one connection come back whole", async () => {
  await using picker = await TestPicker.start()
  const piece = "x".repeat(60_000)
  await Promise.all(Array.from({ length: 40 }, async (_, i) => {
    const stream = picker.open()
    stream.tell({ requestHeaders: { headers: headerMap(chatHeaders) }, protocolConfig: fullDuplex })
    stream.tell({ requestBody: { body: base64(`{"model":"m${i}","padding":"`) } })
    for (let sent = 0; sent < 33; sent++) stream.tell({ requestBody: { body: base64(piece) } })
    stream.tell({ requestBody: { body: base64("\"}"), endOfStream: true } })
    await stream.hear()
    const body = await heardBody(stream)
    expect(body.length).toBeGreaterThan(33 * 60_000)
    expect(body.subarray(0, 20).toString()).toContain(`"m${i}"`)
  }))
  expect(picker.heldBytes()).toBe(0)
})

test("messages are cut out of a stream wherever it is cut", () => {
  fc.assert(fc.property(
    fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
    fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 }),
    (messages, cuts) => {
      const bytes = Buffer.concat(messages.map((message) => grpcFrame(message)))
      const splitter = new MessageSplitter(1000)
      const found: Array<string> = []
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const length = cuts[i % cuts.length] ?? 1
        splitter.add(bytes.subarray(at, at + length), (message) => found.push(message.toString("hex")))
        at += length
      }
      expect(found).toEqual(messages.map((message) => Buffer.from(message).toString("hex")))
      expect(splitter.midMessage).toBe(false)
    }
  ))
})

describe("the health service", () => {
  const check = async (picker: TestPicker, service: string, session = picker.session) => {
    const call = new GrpcClientCall(session, "/grpc.health.v1.Health/Check")
    call.send(service === "" ? Buffer.alloc(0) : Buffer.from([0x0a, service.length, ...Buffer.from(service)]))
    call.halfClose()
    const answer = call.nextMessage().then((message) => message.toString("hex"), () => "none")
    return { answer: await answer, status: (await call.end).status }
  }
  const serving = { answer: "0801", status: 0 }

  test.each([[""], ["liveness"], ["readiness"], ["envoy.service.ext_proc.v3.ExternalProcessor"], ["warmroute"]])(
    "says of %j that it serves",
    async (service) => {
      await using picker = await TestPicker.start({ options: { healthService: "warmroute" } })
      expect(await check(picker, service)).toEqual(serving)
    }
  )

  test("does not know other services", async () => {
    await using picker = await TestPicker.start()
    expect(await check(picker, "warmroute")).toEqual({ answer: "none", status: 5 })
  })

  test("lives, but is not ready, once a stop is announced, while picks go on", async () => {
    await using picker = await TestPicker.start()
    picker.server.announceStop()
    expect(await check(picker, "liveness")).toEqual(serving)
    expect(await check(picker, "readiness")).toEqual({ answer: "0802", status: 0 })
    const stream = picker.open()
    tellChat(stream)
    expect((await stream.hear()).destination).toContain(pods[0]!.id)
  })

  test("has a port of its own when that is wanted, which picks nothing", async () => {
    await using picker = await TestPicker.start({ listen: { healthPort: 0 } })
    const session = http2.connect(`http://127.0.0.1:${picker.server.healthPort}`)
    expect(await check(picker, "readiness", session)).toEqual(serving)
    expect((await new GrpcClientCall(session, processPath).end).status).toBe(12)
    session.destroy()
  })
})

describe("a stop", () => {
  test("lets open streams end", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    tellChat(stream)
    await stream.hear()
    await heardBody(stream)
    const stopped = picker.server.stop(10_000)
    stream.tell({ responseHeaders: { headers: headerMap({ ":status": "200" }), endOfStream: true } })
    expect((await stream.hear()).about).toBe("responseHeaders")
    stream.halfClose()
    await stopped
    expect(picker.scheduler.outcomes()).toEqual(["finished"])
  })

  test("ends them well when the grace is over, so that Envoy goes on by itself", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    tellChat(stream)
    await stream.hear()
    await heardBody(stream)
    expect(await picker.server.stop(20)).toBe(1)
    expect((await stream.end).status).toBe(0)
    await picker.quiet()
    expect(picker.scheduler.outcomes()).toEqual(["aborted"])
  })

  test("has Envoy answer 503 to those without a pod when the grace is over", async () => {
    await using picker = await TestPicker.start()
    picker.scheduler.beforePick = () => new Promise(() => {})
    const stream = picker.open()
    tellChat(stream)
    while (picker.scheduler.picks.length === 0) await Bun.sleep(1)
    const stopped = picker.server.stop(20)
    const refused = await stream.hear()
    expect([refused.about, refused.status]).toEqual(["immediateResponse", "ServiceUnavailable"])
    expect(refused.immediateBody).toContain("gateway_stopping")
    await stopped
    expect(picker.scheduler.cancelled.length).toBe(1)
  })
})

test("a connection whose other side is gone without a word is cut", async () => {
  await using picker = await TestPicker.start({ options: { pingEveryMs: 50 } })
  const silent = await silentConnection(picker.server.port)
  while (picker.server.openRequests() === 0) await Bun.sleep(1)
  await picker.quiet()
  silent.end()
})

test("a connection that is there already is asked as often as the picker is told to now", async () => {
  await using picker = await TestPicker.start({ options: { pingEveryMs: 3_600_000 } })
  const silent = await silentConnection(picker.server.port)
  while (picker.server.openRequests() === 0) await Bun.sleep(1)
  picker.server.replaceOptions({ ...shippedOptions, pingEveryMs: 50 })
  await picker.quiet()
  silent.end()
})

/** HTTP/2 by hand: a call is begun, and then nothing is answered any more. */
const silentConnection = async (port: number) => {
  const frame = (type: number, flags: number, stream: number, payload: Uint8Array) => {
    const head = Buffer.alloc(9)
    head.writeUIntBE(payload.length, 0, 3)
    head[3] = type
    head[4] = flags
    head.writeUInt32BE(stream, 5)
    return Buffer.concat([head, payload])
  }
  const literal = (name: string, value: string) =>
    Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)])
  const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data: () => {} } })
  const headers = [literal(":method", "POST"), literal(":scheme", "http"), literal(":path", processPath)]
  socket.write(Buffer.concat([
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    frame(4, 0, 0, Buffer.alloc(0)),
    frame(4, 1, 0, Buffer.alloc(0)),
    frame(1, 4, 1, Buffer.concat([...headers, literal(":authority", "x"), literal("te", "trailers")]))
  ]))
  return socket
}

describe("TLS", () => {
  test("by a pair of our own making carries the protocol", async () => {
    await using picker = await TestPicker.start({ listen: { tls: selfSignedTls(["warmroute"], Date.now()) } })
    const stream = picker.open()
    tellChat(stream)
    expect((await stream.hear()).destination).toContain(pods[0]!.id)
    expect((await heardBody(stream)).toString()).toBe(chatBody())
  })

  test("agrees on HTTP/2 by ALPN", async () => {
    await using picker = await TestPicker.start({ listen: { tls: selfSignedTls(["warmroute"], Date.now()) } })
    const { port } = picker.server
    const agreed = Promise.withResolvers<unknown>()
    const socket = tls.connect({ port, host: "127.0.0.1", ALPNProtocols: ["h2"], rejectUnauthorized: false }, () => {
      agreed.resolve(socket.alpnProtocol)
    })
    expect(await agreed.promise).toBe("h2")
    socket.destroy()
  })

  test("a pair is valid now, for its names, and no two are the same", () => {
    const [first, second] = [
      selfSignedTls(["a.example", "b.example"], Date.now()),
      selfSignedTls(["a.example"], Date.now())
    ]
    const certificate = new X509Certificate(first.cert)
    expect(certificate.checkHost("b.example")).toBe("b.example")
    expect(certificate.verify(certificate.publicKey)).toBe(true)
    expect(Date.parse(certificate.validFrom)).toBeLessThan(Date.now())
    expect(Date.parse(certificate.validTo)).toBeGreaterThan(Date.now() + 9 * 365 * 86_400_000)
    expect(certificate.serialNumber).not.toBe(new X509Certificate(second.cert).serialNumber)
  })
})
