import { afterAll, describe, expect, test } from "bun:test"
import { startEmulatedPod } from "../../src/emulator/EmulatedPod.ts"
import { headerOf } from "../lib/rawHttp.ts"
import { type RecordedExchange, recordedExchanges } from "../lib/recordedPod.ts"
import { roundConstants } from "./engineFixture.ts"
import { shapeOf, streamShape } from "./wireShape.ts"

/** Recorded, but not imitated: rendering, weights and event routes, and log probabilities of the prompt. */
const notImitated = new Set([
  "completions-echo-logprobs",
  "get_world_size",
  "kv_event_sources",
  "pause",
  "is_paused-true",
  "resume",
  "render-chat",
  "render-completions",
  // A stream that the recorder left; and metrics pages, which have a test of their own.
  "stream-client-abort",
  "metrics",
  "metrics-busy",
  "metrics-waiting-lora"
])
const imitated = recordedExchanges().filter(({ name }) => !notImitated.has(name))

const podOptions = {
  model: "tiny",
  loraAdapters: ["lora-a", "lora-b"],
  constants: { ...roundConstants, kvCapacityTokens: 48 * 32 },
  blockSizeTokens: 32,
  maxModelLen: 1024,
  toolCallParser: false,
  poolingAndAudio: false,
  speed: 1000
}
const pod = startEmulatedPod(podOptions)
const fullPod = startEmulatedPod({ ...podOptions, maxNumQueuedRequests: 0 })
afterAll(() => Promise.all([pod.stop(), fullPod.stop()]))

/** Sends the recorded request, under the id that the recorded answer carries. */
const replay = async (exchange: RecordedExchange) => {
  const origin = exchange.name.startsWith("err-503") ? fullPod.url : pod.url
  const response = await fetch(origin + exchange.path, {
    method: exchange.method,
    headers: {
      "x-request-id": headerOf(exchange.response.headers, "x-request-id")!,
      ...(exchange.contentType === undefined ? {} : { "content-type": exchange.contentType })
    },
    ...(exchange.requestBody === undefined ? {} : { body: new Blob([exchange.requestBody.slice()]) })
  })
  return { status: response.status, headers: [...response.headers], text: await response.text() }
}

/** Headers that the connection decides, not the answer. */
const connectionHeaders = new Set(["connection", "content-length", "date", "transfer-encoding"])
const answerHeaders = (headers: ReadonlyArray<readonly [string, string]>) =>
  headers.filter(([name]) => !connectionHeaders.has(name)).map(([name, value]) => `${name}: ${value}`).sort()

describe("an emulated pod answers as vLLM was recorded to", () => {
  test.each(imitated.map((exchange) => [exchange.name, exchange] as const))("%s", async (_name, exchange) => {
    const recorded = exchange.response
    const recordedText = new TextDecoder().decode(recorded.body)
    const ours = await replay(exchange)
    expect(ours.status).toBe(recorded.status)
    expect(answerHeaders(ours.headers)).toEqual(answerHeaders(recorded.headers))
    if (headerOf(recorded.headers, "content-type")?.startsWith("text/event-stream")) {
      expect(streamShape(ours.text)).toEqual(streamShape(recordedText))
    } else if (recorded.status >= 400 || recordedText === "") {
      expect(ours.text).toBe(recordedText)
    } else {
      expect(shapeOf(JSON.parse(ours.text))).toEqual(shapeOf(JSON.parse(recordedText)))
    }
  })
})
