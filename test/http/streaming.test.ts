import { describe, expect, test } from "bun:test"
import { pulledPod } from "./pulledPod.ts"
import { RawPod } from "./RawPod.ts"
import { TestFront } from "./TestFront.ts"

const chat = { model: "tiny", stream: true, messages: [{ role: "user", content: "Hello" }] }
const streamHead =
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`

/** Speaks HTTP by hand, so that a test sees the bytes and decides when to read. */
const rawClient = async (url: string, head: string, body: string) => {
  const { hostname, port } = new URL(url)
  const seen = { received: "", closed: false }
  let waiters: Array<() => void> = []
  const changed = () => {
    const all = waiters
    waiters = []
    for (const waiter of all) waiter()
  }
  const socket = await Bun.connect({
    hostname,
    port: Number(port),
    socket: {
      data: (_socket, bytes) => {
        seen.received += bytes.toString("latin1")
        changed()
      },
      close: () => {
        seen.closed = true
        changed()
      },
      error: () => {}
    }
  })
  socket.write(`${head}\r\nhost: x\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
  return {
    socket,
    received: () => seen.received,
    until: async (condition: () => boolean) => {
      while (!condition() && !seen.closed) await new Promise<void>((resolve) => void waiters.push(resolve))
    }
  }
}

describe("streaming", () => {
  test("a slow reader slows the pod down, and the gateway holds only a bounded part of the answer", async () => {
    const piece = "x".repeat(64 * 1024)
    const pieces = 1_000
    const pod = pulledPod(piece, pieces)
    using address = new RawPod(() => {})
    await using front = new TestFront([{ ...address.address, port: pod.port }])
    const client = await rawClient(
      front.url,
      "POST /v1/chat/completions HTTP/1.1\r\nconnection: close",
      JSON.stringify(chat)
    )
    await client.until(() => client.received().length > 0)
    client.socket.pause()
    await pod.atRest(150)
    const buffered = (pod.written() * piece.length - client.received().length) / (1024 * 1024)
    expect(buffered).toBeLessThan(24)
    client.socket.resume()
    await client.until(() => false)
    expect(client.received().length).toBeGreaterThan(pieces * piece.length)
    expect(client.received()).toEndWith("0\r\n\r\n")
    expect(front.scheduler.outcomes()).toEqual(["finished"])
    void pod.stop()
  })

  test("a client that stops reading and then leaves ends the request at the pod", async () => {
    const full = Promise.withResolvers<void>()
    using pod = new RawPod((socket) => {
      const text = chunk("y".repeat(60_000))
      const more = (): void => {
        if (socket.readyState !== 1) return
        if (socket.write(text) === text.length) setImmediate(more)
        else full.resolve()
      }
      socket.write(streamHead)
      more()
    })
    await using front = new TestFront([pod.address])
    const client = await rawClient(front.url, "POST /v1/chat/completions HTTP/1.1", JSON.stringify(chat))
    await client.until(() => client.received().length > 0)
    client.socket.pause()
    await full.promise
    client.socket.terminate()
    await pod.until((pod) => pod.closedAtMs.length === 1)
    await front.quiet()
    expect(front.scheduler.outcomes()).toEqual(["aborted"])
  })

  test("a thousand streams at once all end whole, with one socket each and no reservation left", async () => {
    const events = 20
    using pod = new RawPod((socket) => {
      socket.write(streamHead)
      let sent = 0
      const timer = setInterval(() => {
        if (sent < events) socket.write(chunk(`data: {"i":${sent}}\n\n`))
        else socket.write(chunk("data: [DONE]\n\n") + "0\r\n\r\n")
        if (sent++ === events) clearInterval(timer)
      }, 20)
    })
    await using front = new TestFront([pod.address])
    const body = JSON.stringify(chat)
    const clients = await Promise.all(
      Array.from({ length: 1_000 }, () => rawClient(front.url, "POST /v1/chat/completions HTTP/1.1", body))
    )
    await Promise.all(clients.map((client) => client.until(() => client.received().endsWith("0\r\n\r\n"))))
    const whole = Array.from({ length: events }, (_, i) => chunk(`data: {"i":${i}}\n\n`)).join("")
    const dechunked = (text: string) => text.slice(text.indexOf("\r\n\r\n") + 4).replace(/(?:^|\r\n)[0-9a-f]+\r\n/g, "")
    const expected = dechunked(`\r\n\r\n${whole}${chunk("data: [DONE]\n\n")}0\r\n\r\n`)
    expect(clients.filter((client) => dechunked(client.received()) !== expected)).toHaveLength(0)
    for (const client of clients) client.socket.terminate()
    expect(new Set(front.scheduler.outcomes())).toEqual(new Set(["finished"]))
    expect([front.scheduler.ends.size, front.server.openRequests(), pod.connections]).toEqual([1_000, 0, 1_000])
  }, 30_000)

  test("clients that leave at random moments leave nothing behind", async () => {
    using pod = new RawPod((socket) => {
      socket.write(streamHead)
      const timer = setInterval(() => {
        if (socket.write(chunk("data: {}\n\n")) < 0) clearInterval(timer)
      }, 5)
    })
    await using front = new TestFront([pod.address])
    const body = JSON.stringify(chat)
    let random = 7
    for (let round = 0; round < 2; round++) {
      const clients = await Promise.all(
        Array.from({ length: 100 }, () => rawClient(front.url, "POST /v1/chat/completions HTTP/1.1", body))
      )
      await Promise.all(clients.map(async (client) => {
        random = (random * 1_103_515_245 + 12_345) % 2_147_483_648
        await Bun.sleep(random % 60)
        client.socket.terminate()
      }))
    }
    await front.quiet()
    await pod.until((pod) => pod.closedAtMs.length === pod.connections)
    expect(new Set(front.scheduler.outcomes())).toEqual(new Set(["aborted"]))
  }, 30_000)

  test("a long answer with a length streams, and breaks off visibly when the pod does", async () => {
    const length = 3_000_000
    using pod = new RawPod((socket, request) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`)
      if (request.includes("whole")) return void socket.end("z".repeat(length))
      socket.write("z".repeat(1_000))
      setTimeout(() => socket.end(), 20)
    })
    await using front = new TestFront([pod.address])
    const whole = await front.post("/v1/completions", { model: "m", prompt: "whole" })
    expect((await whole.text()).length).toBe(length)
    const broken = await front.post("/v1/completions", { model: "m", prompt: "half" })
    await expect(broken.text()).rejects.toThrow()
    expect(front.scheduler.outcomes()).toEqual(["finished", "failed"])
  })

  test("the only pod breaks off between its head and its first event: no pod is left, a 503", async () => {
    using pod = new RawPod((socket) => {
      socket.write(streamHead)
      setTimeout(() => socket.end(), 10)
    })
    await using front = new TestFront([pod.address])
    expect((await front.post("/v1/chat/completions", chat)).status).toBe(503)
  })

  test("the first token of a Responses stream is the first output, and nothing leaves before it", async () => {
    const seen: Array<readonly [number, boolean]> = []
    const steps = ["response.created", "response.in_progress", "response.output_item.added", "response.completed"]
      .map((name) => `event: ${name}\ndata: {}\n\n`)
    const isTime = steps.map(() => Promise.withResolvers<void>())
    using pod = new RawPod(async (socket) => {
      socket.write(streamHead)
      for (const [i, step] of steps.entries()) {
        await isTime[i]?.promise
        socket.write(chunk(step))
      }
      socket.write("0\r\n\r\n")
    })
    await using front = new TestFront([pod.address])
    const body = JSON.stringify({ model: "m", input: "x", stream: true })
    const client = await rawClient(front.url, "POST /v1/responses HTTP/1.1", body)
    for (const [i, step] of steps.entries()) {
      isTime[i]?.resolve()
      if (i >= 2) await client.until(() => client.received().includes(step))
      else await Bun.sleep(20)
      seen.push([front.scheduler.firstTokens.length, client.received().includes(steps[0] ?? "")])
    }
    await client.until(() => client.received().endsWith("0\r\n\r\n"))
    client.socket.terminate()
    expect(seen).toEqual([[0, false], [0, false], [1, true], [1, true]])
  })

  test("headers pass with their values and repetitions; only hop-by-hop ones are dropped", async () => {
    using pod = new RawPod((socket) =>
      socket.write(
        "HTTP/1.1 200 OK\r\ndate: Sun, 22 Nov 2026 11:27:00 GMT\r\nserver: uvicorn\r\nX-Text: caf\xc3\xa9\r\nset-cookie: a=1\r\n" +
          "set-cookie: b=2\r\nvary: Origin\r\nVary: Accept\r\nx-request-id: pods-own\r\nkeep-alive: timeout=5\r\n" +
          "connection: x-private\r\nx-private: 1\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
      )
    )
    await using front = new TestFront([pod.address])
    const client = await rawClient(
      front.url,
      "POST /v1/chat/completions HTTP/1.1\r\nconnection: close",
      JSON.stringify(chat)
    )
    await client.until(() => false)
    const head = client.received().slice(0, client.received().indexOf("\r\n\r\n")).split("\r\n").map((line) =>
      line.replace(/^[^:]*/, (name) => name.toLowerCase())
    )
    const other = head.filter((line) => !/^(http|connection|x-warmroute-pod)/.test(line)).sort()
    expect(other).toEqual([
      "content-length: 2",
      "content-type: text/plain",
      "date: Sun, 22 Nov 2026 11:27:00 GMT",
      "server: uvicorn",
      "set-cookie: a=1",
      "set-cookie: b=2",
      "vary: Origin, Accept",

      "x-request-id: pods-own",
      "x-text: caf\xc3\xa9"
    ])
  })
})
