import { expect, test } from "bun:test"
import { RawPod } from "./RawPod.ts"
import { TestFront } from "./TestFront.ts"

const body = { model: "m", messages: [{ role: "user", content: "hi" }], stream: true }
const events = "data: [DONE]\n\n"

test.each([
  ["a Connection header that names no header", "connection: a b, \u0082\u0098, (x)\r\n"],
  ["a header that is called as something that objects inherit", "__proto__: a\r\nconstructor: b\r\n"]
])("an answer with %s reaches the client whole", async (_, line) => {
  using pod = new RawPod((socket) =>
    socket.write(
      Buffer.from(
        `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n${line}content-length: ${events.length}\r\n\r\n${events}`,
        "latin1"
      )
    )
  )
  await using front = new TestFront([pod.address])
  const answer = await front.post("/v1/chat/completions", body)
  expect([answer.status, await answer.text()]).toEqual([200, events])
})

test("an answer with a control character in a header is no answer, and another pod is tried", async () => {
  using odd = new RawPod((socket) => socket.write("HTTP/1.1 200 OK\r\nx-odd: a\u007fb\r\ncontent-length: 0\r\n\r\n"))
  using sound = new RawPod((socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"))
  await using front = new TestFront([odd.address, sound.address])
  const answer = await front.post("/v1/chat/completions", { ...body, stream: false })
  expect([answer.status, await answer.text()]).toEqual([200, "{}"])
})

test.each([
  "connection: x-hop, close\r\nx-hop: 1\r\n",
  "x-hop: 1\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nConnection: X-Hop\r\n"
])(
  "a header that the pod's Connection names ends at the gateway: %j",
  async (lines) => {
    using pod = new RawPod((socket) =>
      socket.write(`HTTP/1.1 200 OK\r\n${lines}x-end: 1\r\ncontent-length: 2\r\n\r\n{}`)
    )
    await using front = new TestFront([pod.address])
    const { headers } = await front.post("/v1/chat/completions", { ...body, stream: false })
    expect([headers.get("x-hop"), headers.get("x-end")]).toEqual([null, "1"])
  }
)

test.each([
  "keep-alive: timeout=5",
  "proxy-connection: keep-alive",
  "proxy-authenticate: Basic",
  "proxy-authorization: Basic eDp5",
  "te: trailers",
  "trailer: x-sum",
  "upgrade: h2c"
])("a header of the hop between gateway and pod ends there: %s", async (line) => {
  using pod = new RawPod((socket) =>
    socket.write(`HTTP/1.1 200 OK\r\n${line}\r\nset-cookie: a=1\r\ncontent-length: 2\r\n\r\n{}`)
  )
  await using front = new TestFront([pod.address])
  const { headers } = await front.post("/v1/chat/completions", { ...body, stream: false })
  expect([headers.get(line.split(":", 1)[0] ?? ""), headers.get("set-cookie")]).toEqual([null, "a=1"])
})
