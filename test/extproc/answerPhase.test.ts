import { describe, expect, test } from "bun:test"
import { SessionTokens } from "../../src/http/doors/SessionTokens.ts"
import { base64, type EnvoyStream, headerMap } from "./EnvoyStream.ts"
import {
  bufferedUnseen,
  chatBody,
  duplexUnseen,
  fullDuplex,
  heardBody,
  pods,
  tellChat,
  TestPicker
} from "./TestPicker.ts"

const eventStream = { ":status": "200", "content-type": "text/event-stream; charset=utf-8" }
const json = { ":status": "200", "content-type": "application/json" }
const usage = "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":4}}"

/** A request whose pod has been named and whose body has been handed on. */
const routed = async (
  picker: TestPicker,
  modes: { readonly requestBodyMode: string; readonly responseBodyMode: string } = fullDuplex,
  body = chatBody({ stream: true })
): Promise<EnvoyStream> => {
  const stream = picker.open()
  tellChat(stream, body, modes)
  await stream.hear()
  if (modes.requestBodyMode === "BUFFERED") await stream.hear()
  else await heardBody(stream)
  return stream
}

const tellAnswer = async (stream: EnvoyStream, headers: Readonly<Record<string, string>>, attributes?: object) => {
  stream.tell({
    responseHeaders: { headers: headerMap(headers) },
    ...(attributes === undefined ? {} : { attributes: { "envoy.filters.http.ext_proc": { ...attributes } } })
  })
  return stream.hear()
}

describe("an answer whose body passes by", () => {
  test("comes back piece by piece as it is, with its first token, its end and its usage noticed", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker)
    expect((await tellAnswer(stream, eventStream)).about).toBe("responseHeaders")
    const events = ["data: {\"a\":1}\n\n", "data: {\"b\":2}\n\n", `data: {${usage}}\n\n`, "data: [DONE]\n\n"]
    for (const [i, event] of events.entries()) {
      stream.tell({ responseBody: { body: base64(event) } })
      const { body, ends } = (await stream.hear()).streamed
      expect(body.toString()).toBe(event)
      expect(ends).toBe(false)
      expect(picker.scheduler.firstTokens).toEqual([0])
      expect(picker.scheduler.ends.get(0)).toEqual([])
      expect(i).toBeLessThan(events.length)
    }
    stream.tell({ responseBody: { endOfStream: true } })
    expect((await stream.hear()).streamed.ends).toBe(true)
    expect(picker.scheduler.ends.get(0)).toEqual([
      { outcome: "finished", promptTokens: 7, cachedTokens: 4, outputTokens: 3 }
    ])
    stream.halfClose()
    expect((await stream.end).status).toBe(0)
    await picker.quiet()
    expect(picker.booked).toEqual(["/v1/chat/completions 200 finished"])
  })

  test("in streamed mode is told to go on, and never sent back", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker, { requestBodyMode: "FULL_DUPLEX_STREAMED", responseBodyMode: "STREAMED" })
    await tellAnswer(stream, eventStream)
    stream.tell({ responseBody: { body: base64("data: 1\n\n"), endOfStream: true } })
    expect((await stream.hear()).json).toEqual({ responseBody: { response: {} } })
    expect(picker.scheduler.outcomes()).toEqual(["finished"])
  })

  test("ends with its trailers", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker)
    await tellAnswer(stream, json)
    stream.tell({ responseBody: { body: base64(`{${usage}}`) } })
    await stream.hear()
    stream.tell({ responseTrailers: {} })
    expect((await stream.hear()).about).toBe("responseTrailers")
    expect(picker.scheduler.ends.get(0)).toEqual([
      { outcome: "finished", promptTokens: 7, cachedTokens: 4, outputTokens: 3 }
    ])
  })

  test("that is an error has no first token", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker)
    await tellAnswer(stream, { ...json, ":status": "400" })
    stream.tell({ responseBody: { body: base64("{}"), endOfStream: true } })
    await stream.hear()
    expect(picker.scheduler.firstTokens).toEqual([])
    expect(picker.scheduler.outcomes()).toEqual(["finished"])
    stream.halfClose()
    await picker.quiet()
    expect(picker.booked).toEqual(["/v1/chat/completions 400 finished"])
  })

  test("of no bytes ends with its headers", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker)
    stream.tell({ responseHeaders: { headers: headerMap({ ":status": "204" }), endOfStream: true } })
    await stream.hear()
    expect(picker.scheduler.outcomes()).toEqual(["finished"])
  })

  test("names its pod to the client when that is wanted", async () => {
    await using picker = await TestPicker.start()
    const heard = await tellAnswer(await routed(picker), json)
    expect(heard.headers.get("x-warmroute-pod")).toBe(pods[0]?.id)
    await using silent = await TestPicker.start({ front: { exposePodHeader: false } })
    expect((await tellAnswer(await routed(silent), json)).headers.size).toBe(0)
  })

  test("brings the client a token of its pod when that is wanted", async () => {
    const sessionTokens = new SessionTokens({ form: "signed", secrets: ["s".repeat(32)] })
    await using picker = await TestPicker.start({ front: { sessionHeader: "x-session-token", sessionTokens } })
    const { headers } = await tellAnswer(await routed(picker), json)
    expect(sessionTokens.podOf(headers.get("x-session-token") ?? "")).toBe(`${pods[0]?.id}`)
    expect(headers.get("x-warmroute-pod")).toBe(pods[0]?.id)
  })
})

describe("an answer whose body stays with Envoy", () => {
  test("ends with the stream", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker, duplexUnseen)
    await tellAnswer(stream, eventStream)
    expect(picker.scheduler.ends.get(0)).toEqual([])
    stream.halfClose()
    expect((await stream.end).status).toBe(0)
    await picker.quiet()
    expect(picker.scheduler.outcomes()).toEqual(["finished"])
    expect(picker.scheduler.firstTokens).toEqual([0])
  })

  test("is asked for when it comes as one and Envoy could heed it", async () => {
    await using picker = await TestPicker.start()
    const whole = await tellAnswer(await routed(picker, bufferedUnseen), json)
    expect(whole.json["modeOverride"]).toMatchObject({ responseBodyMode: "STREAMED", responseTrailerMode: "SEND" })
    const streamed = await tellAnswer(await routed(picker, bufferedUnseen), eventStream)
    expect(streamed.json["modeOverride"]).toBeUndefined()
    const duplex = await tellAnswer(await routed(picker, duplexUnseen), json)
    expect(duplex.json["modeOverride"]).toBeUndefined()
  })
})

describe("a reservation is given back exactly once", () => {
  test("when the client leaves before the body is there, when there is none yet", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.tell({
      requestHeaders: { headers: headerMap({ ":path": "/v1/chat/completions" }) },
      protocolConfig: fullDuplex
    })
    stream.tell({ requestBody: { body: base64("{") } })
    await eventuallyOpen(picker)
    stream.reset()
    await picker.quiet()
    expect(picker.scheduler.picks.length).toBe(0)
    expect(picker.booked).toEqual(["/v1/chat/completions 499 aborted"])
  })

  test("when the client leaves while its pod is being picked", async () => {
    await using picker = await TestPicker.start()
    const asked = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    picker.scheduler.beforePick = () => {
      asked.resolve()
      return gate.promise
    }
    const stream = picker.open()
    tellChat(stream)
    await asked.promise
    stream.reset()
    await picker.quiet()
    expect(picker.scheduler.cancelled).toEqual([picker.scheduler.picks[0]!.request])
    gate.resolve()
    await Bun.sleep(0)
    expect(picker.scheduler.outcomes()).toEqual(["aborted"])
  })

  test("when the client leaves before the answer", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker)
    stream.reset()
    await picker.quiet()
    expect(picker.scheduler.outcomes()).toEqual(["aborted"])
    expect(picker.booked).toEqual(["/v1/chat/completions 499 aborted"])
  })

  test("when the client leaves in the middle of the answer", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker)
    await tellAnswer(stream, eventStream)
    stream.tell({ responseBody: { body: base64("data: 1\n\n") } })
    await stream.hear()
    stream.reset()
    await picker.quiet()
    expect(picker.scheduler.outcomes()).toEqual(["aborted"])
  })

  test("when Envoy's connection breaks", async () => {
    await using picker = await TestPicker.start()
    await Promise.all(Array.from({ length: 20 }, () => routed(picker)))
    expect(picker.server.openRequests()).toBe(20)
    picker.session.destroy()
    await picker.quiet()
    expect(new Set(picker.scheduler.outcomes())).toEqual(new Set(["aborted"]))
  })

  test("when the end is told and then the stream is reset", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker)
    await tellAnswer(stream, json)
    stream.tell({ responseBody: { body: base64("{}"), endOfStream: true } })
    await stream.hear()
    stream.reset()
    await picker.quiet()
    expect(picker.scheduler.outcomes()).toEqual(["finished"])
  })
})

describe("when Envoy went to a fallback", () => {
  const served = { "upstream.address": pods[1]!.id }

  test("the reservation follows, and the first pod is reported", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker)
    expect((await tellAnswer(stream, json, served)).headers.get("x-warmroute-pod")).toBe(pods[1]?.id)
    expect(picker.scheduler.failures.map(({ id }) => id)).toEqual([pods[0]!.id])
    expect(picker.scheduler.picks[1]?.request.only).toEqual([pods[1]!.id])
    expect(picker.scheduler.ends.get(0)).toEqual([{ outcome: "failed" }])
    stream.tell({ responseBody: { body: base64(`{${usage}}`), endOfStream: true } })
    await stream.hear()
    expect(picker.scheduler.ends.get(1)).toEqual([
      { outcome: "finished", promptTokens: 7, cachedTokens: 4, outputTokens: 3 }
    ])
    expect(picker.scheduler.firstTokens).toEqual([1])
  })

  test("the protocol's own metadata tells it as well", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker)
    stream.tell({
      responseHeaders: { headers: headerMap(json) },
      metadataContext: {
        filterMetadata: { "envoy.lb": { "x-gateway-destination-endpoint-served": pods[2]!.id } }
      }
    })
    await stream.hear()
    expect(picker.scheduler.picks[1]?.request.only).toEqual([pods[2]!.id])
  })

  test("an answer that ends while the reservation moves ends the new one", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker)
    const gate = Promise.withResolvers<void>()
    picker.scheduler.beforePick = () => gate.promise
    await tellAnswer(stream, json, served)
    stream.reset()
    await picker.quiet()
    gate.resolve()
    await Bun.sleep(0)
    expect(picker.scheduler.outcomes()).toEqual(["failed", "aborted"])
  })

  test("a pod that the pool does not know changes no reservation more than once", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker)
    await tellAnswer(stream, json, { "upstream.address": "10.9.9.9:1" })
    stream.reset()
    await picker.quiet()
    expect(picker.scheduler.outcomes()).toEqual(["failed"])
  })

  test("an answer of Envoy's own is a failure of the picked pod", async () => {
    await using picker = await TestPicker.start()
    const stream = await routed(picker)
    const details = { "response.code_details": "upstream_reset_before_response_started{connection_failure}" }
    await tellAnswer(stream, { ...json, ":status": "503" }, details)
    expect(picker.scheduler.failures.map(({ id, sure }) => [id, sure])).toEqual([[pods[0]!.id, true]])
    stream.tell({ responseBody: { body: base64("upstream connect error"), endOfStream: true } })
    await stream.hear()
    expect(picker.scheduler.outcomes()).toEqual(["failed"])
  })
})

const eventuallyOpen = async (picker: TestPicker): Promise<void> => {
  while (picker.server.openRequests() === 0) await Bun.sleep(1)
}
