import { describe, expect, test } from "bun:test"
import type { Socket } from "bun"
import { RawPod } from "../RawPod.ts"
import { TestFront } from "../TestFront.ts"

const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
const end = "0\r\n\r\n"

const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
const event = (data: string): string => chunk(`data: ${data}\n\n`)

const words = (text: string, ids: ReadonlyArray<number>, more = "", prompt = "null", reason = "null"): string =>
  event(
    `{"id":"cmpl-1","object":"text_completion","created":7,"model":"tiny","choices":[{"index":0,"text":"${text}",` +
      `"logprobs":null,"finish_reason":${reason},"stop_reason":null,"prompt_token_ids":${prompt},` +
      `"token_ids":[${ids.join(",")}]}]${more}}`
  )

const usage = (prompt: number, output: number): string =>
  event(
    `{"id":"cmpl-9","object":"text_completion","created":9,"model":"tiny","choices":[],"usage":{"prompt_tokens":${prompt},` +
      `"total_tokens":${prompt + output},"completion_tokens":${output},"prompt_tokens_details":{"cached_tokens":3}}}`
  )

const begun = head + words("Once", [5], "", "[1,2,3]") + words(" upon", [6])
const done = event("[DONE]")
const rest = head + words(" a", [7], "", "[1,2,3,5,6]") + words(" time", [8], "", "null", "\"stop\"") + usage(5, 2) +
  done +
  end

const asked = { model: "tiny", prompt: "Hi", stream: true, max_tokens: 20, stream_options: { include_usage: true } }

const textOf = (stream: string): string => [...stream.matchAll(/"text":"([^"]*)"/g)].map(([, text]) => text).join("")

type Answer = (socket: Socket<{ text: string }>) => void

/** The first pod does what `first` does, the second what `second` does. */
const play = async (first: Answer, second: Answer, options: object = {}, upstream: object = {}, model = "tiny") => {
  using one = new RawPod((socket) => first(socket))
  using two = new RawPod((socket) => second(socket))
  await using front = new TestFront([one.address, two.address], { options, upstream })
  const response = await front.post("/v1/completions", { ...asked, model })
  const text = await response.text()
  await front.quiet()
  return { text, request: two.received[0] ?? "", front, outcomes: front.scheduler.outcomes(), status: response.status }
}

const dies: Answer = (socket) => {
  socket.write(begun)
  setTimeout(() => socket.terminate(), 5)
}

const goesOn: Answer = (socket) => void socket.write(rest)

const whole =
  "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":7,\"model\":\"tiny\",\"choices\":[]," +
  "\"usage\":{\"prompt_tokens\":3,\"total_tokens\":7,\"completion_tokens\":4," +
  "\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\ndata: [DONE]\n\n"

describe("a stream goes on at another pod", () => {
  test.each<readonly [string, Answer]>([
    ["its pod died", dies],
    ["its pod died within an event", (socket) => {
      socket.write(begun + "30\r\ndata: {\"id\":\"cmpl-1\",\"obj")
      setTimeout(() => socket.terminate(), 5)
    }],
    ["its pod went silent", (socket) => void socket.write(begun)],
    ["its pod's engine died", (socket) => void socket.write(begun + event("{\"error\":{\"code\":500}}") + done + end)],
    ["its pod aborted it", (socket) => void socket.write(begun + words("", [9], "", "null", "\"abort\"") + done + end)],
    ["its pod ended it early", (socket) => void socket.write(begun + end)]
  ])("when %s", async (_why, first) => {
    const { front, outcomes, request, text } = await play(first, goesOn, {}, { silenceTimeoutMs: 60 })
    expect(textOf(text)).toBe("Once upon a time")
    expect(text).toEndWith(whole)
    expect(text).not.toContain("error")
    expect(outcomes).toEqual(["failed", "finished"])
    expect(JSON.parse(request.slice(request.indexOf("\r\n\r\n")))).toMatchObject({
      prompt: [1, 2, 3, 5, 6],
      max_tokens: 18
    })
    expect(front.booked.filter((line) => line.startsWith("rescued"))).toEqual(["rescued begun", "rescued whole"])
  })

  test("which is told apart from the first token's time", async () => {
    const { front } = await play(dies, goesOn)
    expect(front.booked.filter((line) => line.startsWith("first byte"))).toHaveLength(1)
    expect(front.scheduler.firstTokens).toEqual([0, 1])
    expect(front.booked).toContain("tokens tiny 3 3 4")
  })
})

test("a pod that dies behind the last word costs nothing", async () => {
  const { outcomes, text } = await play((socket) => {
    socket.write(begun + words(" a", [7], "", "null", "\"stop\""))
    setTimeout(() => socket.terminate(), 5)
  }, goesOn)
  expect(textOf(text)).toBe("Once upon a")
  expect(text).toContain("\"usage\":{\"prompt_tokens\":3,\"total_tokens\":6,\"completion_tokens\":3}")
  expect(text).toEndWith("data: [DONE]\n\n")
  expect(outcomes).toEqual(["finished"])
})

test("the end that a dead pod owes is told under the client's name for the model", async () => {
  const rewrites = { targetOf: () => "tiny" }
  const { text } = await play(
    (socket) => {
      socket.write(begun + words(" a", [7], "", "null", "\"stop\""))
      setTimeout(() => socket.terminate(), 5)
    },
    goesOn,
    { rewrites },
    {},
    "mine"
  )
  expect(text).toContain("\"usage\":{")
  expect([...text.matchAll(/"model":"([^"]*)"/g)].map(([, name]) => name)).toEqual(["mine", "mine", "mine", "mine"])
  expect(text).toEndWith("data: [DONE]\n\n")
})

test.each<readonly [string, Answer, Answer]>([
  ["the first pod", (socket) => {
    socket.write(begun + words(" a", [7], "", "null", "\"stop\"") + usage(3, 3))
    setTimeout(() => socket.terminate(), 5)
  }, goesOn],
  ["the other pod", dies, (socket) => {
    socket.write(rest.slice(0, rest.indexOf(done)))
    setTimeout(() => socket.terminate(), 5)
  }]
])("usage that %s told before it died is not told again", async (_who, first, second) => {
  const { front, outcomes, text } = await play(first, second)
  expect([...text.matchAll(/"usage":\{/g)]).toHaveLength(1)
  expect(text).toEndWith("data: [DONE]\n\n")
  expect(outcomes.at(-1)).toBe("finished")
  expect(front.booked.find((line) => line.startsWith("tokens"))).toStartWith("tokens tiny 3 3 ")
})

describe("a stream that can't go on ends with an error event", () => {
  const refuses: Answer = (socket) =>
    void socket.write("HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")

  test.each<readonly [string, Answer, Answer, object, string, ReadonlyArray<string>]>([
    ["the other pod refuses", dies, refuses, {}, "rescue denied refused", ["failed", "failed"]],
    ["the other pod dies too", dies, (socket) => void socket.terminate(), {}, "rescue denied no-pod", [
      "failed",
      "failed"
    ]],
    ["no rescue is left", dies, goesOn, rescue({ attemptsMax: 0 }), "rescue denied limit", ["failed"]],
    ["there is no memory for its tokens", dies, goesOn, rescue({ bytesMax: 10 }), "rescue denied no-tokens", [
      "failed"
    ]],
    ["it is too long", dies, goesOn, rescue({ streamBytesMax: 10 }), "rescue denied no-tokens", ["failed"]]
  ])("when %s", async (_why, first, second, options, booked, outcomes) => {
    const played = await play(first, second, options)
    expect(textOf(played.text)).toBe("Once upon")
    expect(played.text).toMatch(/\n\ndata: \{"error":\{.*\}\n\n$/)
    expect(played.front.booked).toContain(booked)
    expect(played.outcomes).toEqual([...outcomes])
  })

  test.each([
    ["while it reasoned", [{ reasoning: "Hm" }], "0.32.0", false],
    ["after it reasoned, and may not have told all tokens", [{ reasoning: "Hm" }, { content: "Yes" }], "0.31.2", false],
    ["after it reasoned, unless it told all tokens", [{ reasoning: "Hm" }, {}, { content: "Yes" }], "0.32.0", true]
  ])("when the pod was lost %s", async (_when, deltas, version, goes) => {
    const chat = (delta: object, ids: string): string =>
      event(
        `{"id":"c","object":"o","created":1,"model":"tiny","choices":[{"index":0,"delta":${JSON.stringify(delta)},` +
          `"logprobs":null,"finish_reason":null${ids}`
      )
    const first = chat({ role: "assistant", content: "" }, "}],\"prompt_token_ids\":[1],\"prompt_text\":null}")
    using pod = new RawPod((socket) => {
      socket.write(head + first + deltas.map((delta, i) => chat(delta, `,"token_ids":[${10 + i}]}]}`)).join(""))
      setTimeout(() => socket.terminate(), 5)
    })
    using other = new RawPod(goesOn)
    const models = [{ id: "tiny", max_model_len: 100 }]
    const statuses = [pod, other].map(({ address }) => ({
      address,
      health: "healthy" as const,
      models,
      version,
      reason: ""
    }))
    await using front = new TestFront([pod.address, other.address], { statuses })
    const response = await front.post("/v1/chat/completions", {
      model: "tiny",
      stream: true,
      messages: [{ role: "user", content: "Hi" }]
    })
    const text = await response.text()
    expect(text.includes("data: {\"error\":")).toBe(!goes)
    expect(front.booked.includes("rescue denied not-text")).toBe(!goes)
    if (goes) expect(other.received[0]).toContain("\"prompt\":[1,10,11,12]")
  })

  test("in the pod's own words when it said some", async () => {
    const { text } = await play(
      (socket) => void socket.write(begun + event("{\"error\":{\"code\":500,\"message\":\"engine\"}}") + done + end),
      goesOn,
      rescue({ attemptsMax: 0 })
    )
    expect(text).toEndWith("data: {\"error\":{\"code\":500,\"message\":\"engine\"}}\n\n")
  })
})

function rescue(more: object): object {
  return { rescue: { enabled: true, attemptsMax: 2, streamBytesMax: 1e6, bytesMax: 1e6, ...more } }
}

test.each<readonly [string, Answer, Answer]>([
  ["ended well", (socket) => void socket.write(begun + words("!", [7], "", "null", "\"stop\"") + done + end), goesOn],
  ["was rescued", dies, goesOn],
  ["was lost with both its pods", dies, (socket) => socket.terminate()]
])("the memory for the tokens of a stream that %s is given back", async (_how, first, second) => {
  const { front } = await play(first, second)
  expect(front.server.heldBytes()).toEqual({ memory: 0, disk: 0, rescue: 0 })
})

test("the memory for the tokens of a stream is held while it lasts, and given back when its client leaves", async () => {
  using pod = new RawPod((socket) => void socket.write(begun))
  await using front = new TestFront([pod.address])
  const controller = new AbortController()
  const answer = await front.post("/v1/completions", asked, { signal: controller.signal })
  await answer.body?.getReader().read()
  expect(front.server.heldBytes().rescue).toBeGreaterThan(0)
  controller.abort()
  await front.quiet()
  expect(front.server.heldBytes().rescue).toBe(0)
})

test("a short stream that comes with a length is a stream too, and its client sees no token ids", async () => {
  const body = begun.slice(head.length).split("\r\n").filter((line) => line.startsWith("data: ")).join("")
  const lengthHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
  const answer = `${lengthHead}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  const { outcomes, status, text } = await play((socket) => void socket.write(answer), goesOn, { retriesMax: 0 })
  expect(status).toBe(200)
  expect(textOf(text)).toStartWith("Once upon")
  expect(text).not.toContain("token_ids\":[")
  expect(outcomes).toContain("finished")
})

describe("a chat of which only who speaks was told", () => {
  const spoken = (delta: object, more: string): string =>
    event(
      `{"id":"c","object":"o","created":1,"model":"tiny","choices":[{"index":0,"delta":${JSON.stringify(delta)},` +
        `"logprobs":null,"finish_reason":${more}`
    )
  const opening = spoken({ role: "assistant", content: "" }, "null}],\"prompt_token_ids\":[1],\"prompt_text\":null}")
  const whole = head + opening + spoken({ content: "Yes" }, "\"stop\",\"token_ids\":[9]}]}") + done + end
  const ask = { model: "tiny", stream: true, messages: [{ role: "user", content: "Hi" }] }

  test.each<readonly [string, Answer]>([
    ["its pod died", (socket) => {
      socket.write(head + opening)
      setTimeout(() => socket.terminate(), 5)
    }],
    [
      "its pod's engine died",
      (socket) => void socket.write(head + opening + event("{\"error\":{\"code\":500}}") + end)
    ],
    ["its pod ended it", (socket) => void socket.write(head + opening + end)]
  ])("begins anew at another pod when %s", async (_why, first) => {
    using one = new RawPod((socket) => first(socket))
    using two = new RawPod((socket) => void socket.write(whole))
    await using front = new TestFront([one.address, two.address])
    const response = await front.post("/v1/chat/completions", ask)
    const text = await response.text()
    expect([response.status, text.match(/"role":"assistant"/g)?.length]).toEqual([200, 1])
    expect(text).toContain("\"content\":\"Yes\"")
    expect(text).not.toContain("error")
    expect(front.booked.filter((line) => line.startsWith("rescue"))).toEqual([])
    await front.quiet()
    expect(front.scheduler.outcomes()).toEqual(["failed", "finished"])
  })

  test("comes whole, byte for byte but for the ids, when nothing happens", async () => {
    using one = new RawPod((socket) => void socket.write(whole))
    await using front = new TestFront([one.address])
    const text = await (await front.post("/v1/chat/completions", ask)).text()
    const bare = (chunked: string): string => [...chunked.matchAll(/data: .*/g)].map(([line]) => `${line}\n\n`).join("")
    const withoutIds = bare(whole).replace("\"prompt_token_ids\":[1]", "\"prompt_token_ids\":null")
    expect(text).toBe(withoutIds.replace("\"token_ids\":[9]", "\"token_ids\":null"))
  })
})
