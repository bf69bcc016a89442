import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { RawPod } from "../http/RawPod.ts"
import { TestFront } from "../http/TestFront.ts"
import { recordedExchanges } from "../lib/recordedPod.ts"
import { assertBatches, graftedJson, hostileBytes, plan, propertyTimeoutMs } from "./fuzz.ts"

const chat = { model: "m", messages: [{ role: "user", content: "hi" }], max_tokens: 4 }
const ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
/** What a client may be told when the fault is its own. */
const clientFaults = [400, 404, 405, 408, 411, 413, 414, 415, 417, 429, 431, 499, 505]

const answering = () => new RawPod((socket) => socket.write(ok))

/** A front end that is as it was: the next good request is served, nothing is open, no defect was logged. */
const expectSound = async (front: TestFront): Promise<void> => {
  const answer = await front.post("/v1/chat/completions", chat)
  expect([answer.status, await answer.text()]).toEqual([200, "{}"])
  await front.quiet()
  expect(front.logged).toEqual([])
  front.scheduler.outcomes()
}

/** Fails what takes longer, so that a hang has a sample. */
const within = async <A>(limitMs: number, what: string, run: () => Promise<A>): Promise<A> => {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(what)), limitMs)
  return Promise.race([run(), late.promise]).finally(() => clearTimeout(timer))
}

interface Caller {
  /** What came until an answer was there or the other side closed. */
  readonly heard: Promise<string>
  readonly sent: Promise<void>
  /** Tells the other side that nothing more comes; only that side can close then. */
  readonly endSending: () => void
}

const answerHead = /^HTTP\/1\.1 [2-9][^]*\r\n\r\n/m

const call = (port: number, bytes: Uint8Array): Caller => {
  const heard = Promise.withResolvers<string>()
  const sent = Promise.withResolvers<void>()
  let received = ""
  const over = (): void => {
    sent.resolve()
    heard.resolve(received)
  }
  const connected = Bun.connect({
    hostname: "127.0.0.1",
    port,
    allowHalfOpen: true,
    socket: {
      open: (socket) => {
        socket.write(bytes)
        sent.resolve()
      },
      data: (socket, data) => {
        received += data.toString("latin1")
        if (answerHead.test(received)) socket.terminate()
      },
      close: over,
      error: over
    }
  })
  connected.catch(over)
  return {
    heard: heard.promise,
    sent: sent.promise,
    endSending: () => void connected.then((socket) => socket.shutdown(), () => {})
  }
}

/** Every client has an answer or a closed connection in the end. Fails when the front leaves one without either. */
const allHeard = async (front: TestFront, all: ReadonlyArray<Uint8Array>): Promise<ReadonlyArray<string>> => {
  const port = Number(new URL(front.url).port)
  const callers = all.map((bytes) => call(port, bytes))
  await Promise.all(callers.map(({ sent }) => sent))
  const heard = Promise.all(callers.map((caller) => caller.heard))
  // The pod answers at once and a body has little time: whatever the front took for a request is soon over by itself.
  await within(10_000, "a request stays without an answer", async () => {
    for (let quietLooks = 0; quietLooks < 2; quietLooks = front.server.openRequests() === 0 ? quietLooks + 1 : 0) {
      await Bun.sleep(15)
    }
  })
  // What is left has no whole head, for which the front may wait long.
  for (const { endSending } of callers) endSending()
  return within(10_000, "a connection is neither answered nor closed", () => heard)
}

const body = JSON.stringify(chat)
const requests = [
  `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  `POST /v1/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${
    body.length.toString(16)
  }\r\n${body}\r\n0\r\n\r\n`,
  "GET /v1/models?a=b HTTP/1.1\r\nhost: a\r\naccept: */*\r\n\r\n",
  "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: a\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: 74\r\n\r\n" +
  "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--\r\n\r\n\r\n\r\n\r\n\r\n"
].map((text) => new Uint8Array(Buffer.from(text)))
const words = [
  "\r\n",
  "\r\n\r\n",
  "\n",
  "\0",
  "content-length: 5\r\n",
  "content-length: -1\r\n",
  "transfer-encoding: chunked\r\n",
  "expect: 100-continue\r\n",
  "connection: upgrade\r\nupgrade: websocket\r\n",
  "HTTP/1.0",
  "HTTP/2.0",
  "/../",
  "%2e%2e",
  "//",
  "http://other/",
  "?",
  "#",
  "{",
  "\"__proto__\":1,",
  "\"stream\":true,",
  "x-warmroute-deadline-ms: -1\r\n",
  "x-request-id: \u00e9\r\n",
  "0\r\n\r\n"
]

describe("a front end, whatever a client writes to its socket,", () => {
  test("answers with the client's fault or the pod's answer, and goes on", async () => {
    using pod = answering()
    await assertBatches("clientSockets", 600, hostileBytes(requests, words), async (all) => {
      await using front = new TestFront([pod.address], { options: { bodyReadTimeoutMs: 150 } })
      for (const [, status] of (await allHeard(front, all)).join("\n").matchAll(/^HTTP\/1\.1 (\d{3})/gm)) {
        expect([100, 200, ...clientFaults]).toContain(Number(status))
      }
      await within(10_000, "a good request hangs", () => expectSound(front))
    })
  }, propertyTimeoutMs)

  test("answers a body of any JSON with the client's fault or the pod's answer", async () => {
    using pod = answering()
    await using front = new TestFront([pod.address])
    const paths = fc.constantFrom(
      "/v1/chat/completions",
      "/v1/completions",
      "/v1/responses",
      "/v1/messages",
      "/pooling"
    )
    const json = graftedJson([chat, { ...chat, stream: true }, { model: "m", prompt: [1, 2], stream: true }], ["model"])
    await fc.assert(
      fc.asyncProperty(paths, json, async (path, text) => {
        const answer = await front.post(path, undefined, { body: text })
        await answer.text()
        expect([200, ...clientFaults]).toContain(answer.status)
      }),
      plan("clientBodies")
    )
    await expectSound(front)
  }, propertyTimeoutMs)
})

const answers = recordedExchanges().flatMap(({ name, raw }) =>
  /^(chat-stream|completions-basic|messages-stream)/.test(name) ? [raw] : []
)
const answerWords = [
  "\r\n",
  "\r\n\r\n",
  "data: [DONE]\n\n",
  "HTTP/1.1 503 Busy\r\n",
  "HTTP/1.1 307 Moved\r\nlocation: http://other/\r\n",
  "HTTP/1.1 101 Switching Protocols\r\n\r\n",
  "content-length: 5\r\n",
  "content-encoding: gzip\r\n",
  "set-cookie: a=b\r\n",
  "connection: close\r\n",
  "\0",
  "0\r\n\r\n",
  "fffffff\r\n",
  "\u00e9: \u00e9\r\n"
]

describe("a request to pods that answer with any bytes", () => {
  test("ends once, with their status or an error of the gateway's, never with a defect", async () => {
    let bytes = new Uint8Array(0)
    using pod = new RawPod((socket) => {
      socket.write(bytes)
      socket.end()
    })
    await using front = new TestFront([pod.address], {
      options: { retriesMax: 1 },
      upstream: { firstByteTimeoutMs: 300, silenceTimeoutMs: 300 }
    })
    await fc.assert(
      fc.asyncProperty(hostileBytes(answers, answerWords), fc.boolean(), async (given, stream) => {
        bytes = new Uint8Array(given)
        await within(10_000, "the request hangs", async () => {
          // An answer that breaks off breaks off for the client too, perhaps before its head is out.
          const status = await front.post("/v1/chat/completions", { ...chat, stream }, { redirect: "manual" }).then(
            (answer) => answer.text().then(() => answer.status, () => answer.status),
            (cause) => String(cause?.code)
          )
          if (typeof status === "string") expect(status).toBe("ECONNRESET")
          else expect(status >= 200 && status < 600 && status !== 500).toBe(true)
          await front.quiet()
          front.scheduler.outcomes()
          front.scheduler.ends.clear()
        })
        expect(front.logged).toEqual([])
      }),
      plan("podSockets")
    )
  }, propertyTimeoutMs)
})
