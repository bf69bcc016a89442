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
