import { describe, expect, test } from "bun:test"
import { hashText } from "../../src/core/BlockHash.ts"
import { NoPodAvailable, Overloaded, QueueRefused, TimedOut, UnknownModel } from "../../src/errors.ts"
import { eventually } from "../lib/eventually.ts"
import { base64, headerMap } from "./EnvoyStream.ts"
import {
  bufferedUnseen,
  chatBody,
  chatHeaders,
  duplexUnseen,
  fullDuplex,
  heardBody,
  pods,
  shippedOptions,
  tellChat,
  TestPicker
} from "./TestPicker.ts"

const ids = pods.map((pod) => pod.id)

describe("a request in full duplex", () => {
  test("is sent on to the picked pod with its fallbacks in order, in the header and in the metadata alike", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    tellChat(stream)
    const heard = await stream.hear()
    expect(heard.about).toBe("requestHeaders")
    expect(heard.destination).toBe(ids.join(","))
    expect(heard.metadata).toEqual({
      "x-gateway-destination-endpoint": ids.join(","),
      "x-gateway-destination-endpoint-0": ids[0]!,
      "x-gateway-destination-endpoint-1": ids[1]!,
      "x-gateway-destination-endpoint-2": ids[2]!
    })
    expect(heard.clearsRouteCache).toBe(true)
  })

  test("gets its body back byte for byte, with its length", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    const body = " {\"model\" : \"m\",\n\"messages\":[{\"role\":\"user\",\"content\":\"na\\u00efve \u{1F600}\"}]} "
    tellChat(stream, body)
    expect((await stream.hear()).headers.get("content-length")).toBe(String(Buffer.byteLength(body)))
    expect((await heardBody(stream)).toString()).toBe(body)
  })

  test("may come in any number of pieces with an empty one at the end", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    const body = chatBody({ padding: "x".repeat(10_000) })
    stream.tell({ requestHeaders: { headers: headerMap(chatHeaders) }, protocolConfig: fullDuplex })
    for (let at = 0; at < body.length; at += 777) {
      stream.tell({ requestBody: { body: base64(body.slice(at, at + 777)) } })
    }
    stream.tell({ requestBody: { endOfStream: true } })
    expect((await stream.hear()).about).toBe("requestHeaders")
    expect((await heardBody(stream)).toString()).toBe(body)
    expect(picker.scheduler.picks.length).toBe(1)
  })

  test("of 3 MB comes back in pieces that Envoy takes", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    const body = chatBody({ padding: "x".repeat(3_000_000) })
    stream.tell({ requestHeaders: { headers: headerMap(chatHeaders) }, protocolConfig: fullDuplex })
    const piece = 65_536
    for (let at = 0; at < body.length; at += piece) {
      stream.tell({ requestBody: { body: base64(body.slice(at, at + piece)), endOfStream: at + piece >= body.length } })
    }
    await stream.hear()
    let length = 0
    for (let ends = false; !ends;) {
      const { streamed } = await stream.hear()
      expect(streamed.body.length).toBeLessThanOrEqual(62 * 1024)
      length += streamed.body.length
      ends = streamed.ends
    }
    expect(length).toBe(body.length)
  })

  test("with trailers is whole when they come", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.tell({ requestHeaders: { headers: headerMap(chatHeaders) }, protocolConfig: fullDuplex })
    stream.tell({ requestBody: { body: base64(chatBody()) } })
    stream.tell({ requestTrailers: { trailers: headerMap({ "x-checksum": "1" }) } })
    const headers = await stream.hear()
    expect(headers.destination).toBe(ids.join(","))
    expect(headers.headers.has("content-length")).toBe(false)
    const { streamed } = await stream.hear()
    expect(streamed.body.toString()).toBe(chatBody())
    expect(streamed.ends).toBe(false)
    expect((await stream.hear()).about).toBe("requestTrailers")
  })

  test("whose model is an alias has the name rewritten and nothing else", async () => {
    await using picker = await TestPicker.start({ front: { aliases: new Map([["gpt-4o", "qwen3-32b"]]) } })
    const stream = picker.open()
    tellChat(stream, "{ \"model\" : \"gpt-4o\", \"messages\" : [] }")
    const rewritten = "{ \"model\" : \"qwen3-32b\", \"messages\" : [] }"
    expect((await stream.hear()).headers.get("content-length")).toBe(String(rewritten.length))
    expect((await heardBody(stream)).toString()).toBe(rewritten)
    expect(picker.scheduler.picks[0]?.request.model).toBe("qwen3-32b")
  })

  test("of an Envoy that does not say its modes is taken for full duplex", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.tell({ requestHeaders: { headers: headerMap(chatHeaders) } })
    stream.tell({ requestBody: { body: base64(chatBody()), endOfStream: true } })
    expect((await stream.hear()).destination).toBe(ids.join(","))
    expect((await heardBody(stream)).toString()).toBe(chatBody())
  })

  test("may have its headers as texts, as older Envoys write them", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    const headers = Object.entries(chatHeaders).map(([key, value]) => ({ key, value }))
    stream.tell({ requestHeaders: { headers: { headers } }, protocolConfig: fullDuplex })
    stream.tell({ requestBody: { body: base64(chatBody()), endOfStream: true } })
    expect((await stream.hear()).destination).toBe(ids.join(","))
    expect(picker.scheduler.picks[0]?.request.model).toBe("m")
  })

  test("to a path that a route of Envoy's will shorten is read as well", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    tellChat(stream, chatBody(), fullDuplex, { ...chatHeaders, ":path": "/team-a/v1/chat/completions?x=1" })
    await stream.hear()
    expect(picker.scheduler.picks[0]?.request).toMatchObject({ model: "m", generates: true })
  })

  test("to a path that is none of ours goes to any pod as it is", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    tellChat(stream, "no JSON at all", fullDuplex, { ...chatHeaders, ":path": "/v1/images/generations" })
    expect((await stream.hear()).destination).toBe(ids.join(","))
    expect((await heardBody(stream)).toString()).toBe("no JSON at all")
    expect(picker.scheduler.picks[0]?.request.model).toBe("")
  })

  test("without a model goes to any pod, as the HTTP front has it", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    tellChat(stream, JSON.stringify({ messages: [] }))
    expect((await stream.hear()).destination).toBe(ids.join(","))
    expect(picker.scheduler.picks[0]?.request.model).toBe("")
  })

  test("whose stream stays with Envoy counts as one whose first token is not seen", async () => {
    await using picker = await TestPicker.start()
    const [seen, unseen] = [picker.open(), picker.open()]
    tellChat(seen, chatBody({ stream: true }))
    await seen.hear()
    tellChat(unseen, chatBody({ stream: true }), duplexUnseen)
    await unseen.hear()
    expect(picker.scheduler.picks.map(({ request }) => request.streams)).toEqual([true, false])
  })
})

describe("a buffered request", () => {
  test("has its headers waved through and the pod named with the body, which stays as it is", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.tell({ requestHeaders: { headers: headerMap(chatHeaders) }, protocolConfig: bufferedUnseen })
    const waved = await stream.hear()
    expect(waved.about).toBe("requestHeaders")
    expect(waved.destination).toBeUndefined()
    stream.tell({ requestBody: { body: base64(chatBody()), endOfStream: true } })
    const heard = await stream.hear()
    expect(heard.about).toBe("requestBody")
    expect(heard.destination).toBe(ids.join(","))
    expect(heard.metadata).toMatchObject({ "x-gateway-destination-endpoint": ids.join(",") })
    expect(heard.replacedBody).toBeUndefined()
    expect(heard.clearsRouteCache).toBe(true)
  })

  test("gets another body only for another model", async () => {
    await using picker = await TestPicker.start({ front: { aliases: new Map([["m", "qwen3"]]) } })
    const stream = picker.open()
    tellChat(stream, chatBody(), bufferedUnseen)
    await stream.hear()
    const heard = await stream.hear()
    expect(heard.replacedBody?.toString()).toBe(chatBody({ model: "qwen3" }))
    expect(heard.headers.get("content-length")).toBe(String(chatBody({ model: "qwen3" }).length))
  })

  test("with trailers is whole without a mark", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.tell({ requestHeaders: { headers: headerMap(chatHeaders) }, protocolConfig: bufferedUnseen })
    await stream.hear()
    stream.tell({ requestBody: { body: base64(chatBody()) } })
    expect((await stream.hear()).destination).toBe(ids.join(","))
    stream.tell({ requestTrailers: {} })
    expect((await stream.hear()).about).toBe("requestTrailers")
  })
})

describe("a request without a body", () => {
  test("goes to a pod by its headers alone", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    const headers = headerMap({ ":method": "GET", ":path": "/v1/models" })
    stream.tell({ requestHeaders: { headers, endOfStream: true }, protocolConfig: fullDuplex })
    const heard = await stream.hear()
    expect(heard.about).toBe("requestHeaders")
    expect(heard.destination).toBe(ids.join(","))
    expect(heard.headers.has("content-length")).toBe(false)
  })

  test("is also one whose body Envoy keeps", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    stream.tell({
      requestHeaders: { headers: headerMap(chatHeaders) },
      protocolConfig: { requestBodyMode: "NONE", responseBodyMode: "NONE" }
    })
    expect((await stream.hear()).destination).toBe(ids.join(","))
  })
})

describe("a subset hint", () => {
  const hint = (subset: ReadonlyArray<string>) => ({
    filterMetadata: { "envoy.lb.subset_hint": { "x-gateway-destination-endpoint-subset": [...subset] } }
  })

  const destinationWith = async (picker: TestPicker, subset: ReadonlyArray<string>) => {
    const stream = picker.open()
    stream.tell({
      requestHeaders: { headers: headerMap(chatHeaders) },
      metadataContext: hint(subset),
      protocolConfig: fullDuplex
    })
    stream.tell({ requestBody: { body: base64(chatBody()), endOfStream: true } })
    return stream.hear()
  }

  test("of all pods narrows nothing", async () => {
    await using picker = await TestPicker.start()
    expect((await destinationWith(picker, ids)).destination).toBe(ids.join(","))
  })

  test("of some pods leaves only those, as fallbacks too", async () => {
    await using picker = await TestPicker.start()
    const subset = [ids[1]!, "10.9.9.9:8000", ids[2]!]
    expect((await destinationWith(picker, subset)).destination).toBe(`${ids[1]},${ids[2]}`)
  })

  test("without a port means each pod of the host", async () => {
    await using picker = await TestPicker.start()
    expect((await destinationWith(picker, ["10.0.0.1"])).destination).toBe(ids.join(","))
  })

  test.each([[["10.9.9.9:8000"]], [[]]])("of no pod that is there (%j) is answered 503", async (subset) => {
    await using picker = await TestPicker.start()
    const heard = await destinationWith(picker, subset)
    expect(heard.status).toBe("ServiceUnavailable")
    expect(heard.headers.get("x-llm-d-request-dropped-reason")).toBe("rejected-no-endpoints")
  })
})

describe("a refusal", () => {
  const refusals: ReadonlyArray<readonly [string, Error, string, string | undefined]> = [
    ["an unknown model", new UnknownModel({ message: "no such model", param: "model" }), "NotFound", undefined],
    ["no pod", new NoPodAvailable({ message: "no pod" }), "ServiceUnavailable", "rejected-no-endpoints"],
    ["overload", new Overloaded("scheduler_mailbox_full", "full", 2), "TooManyRequests", "rejected-saturated"],
    ["a full queue", new QueueRefused("queue_full", "full", 1), "TooManyRequests", "rejected-saturated"],
    [
      "a wait that was too long",
      new QueueRefused("queue_timeout", "late", 1),
      "TooManyRequests",
      "rejected-ttl-expired"
    ],
    ["a pick that took too long", new TimedOut("scheduler", "late"), "GatewayTimeout", "rejected-ttl-expired"]
  ]

  test.each(refusals)(
    "of %s is Envoy's answer to the client, with its reason",
    async (_name, error, status, reason) => {
      await using picker = await TestPicker.start()
      picker.scheduler.beforePick = () => Promise.reject(error)
      const stream = picker.open()
      tellChat(stream)
      const heard = await stream.hear()
      expect(heard.about).toBe("immediateResponse")
      expect(heard.status).toBe(status)
      expect(heard.headers.get("x-llm-d-request-dropped-reason")).toBe(reason)
      expect(heard.headers.get("content-type")).toBe("application/json")
      expect(heard.headers.get("x-request-id")).toBe("r-1")
      expect(JSON.parse(heard.immediateBody)).toMatchObject({ error: { message: error.message } })
      expect((await stream.end).status).toBe(0)
    }
  )

  test.each([["{\"model\": "], ["[]"], [""]])("of the body %j is 400", async (body) => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    tellChat(stream, body)
    expect((await stream.hear()).status).toBe("BadRequest")
    expect(picker.scheduler.picks.length).toBe(0)
    await picker.quiet()
    expect(picker.booked).toEqual(["/v1/chat/completions 400 failed", "told bad_request"])
  })

  test("tells when to come again where that is known", async () => {
    await using picker = await TestPicker.start()
    picker.scheduler.beforePick = () => Promise.reject(new Overloaded("scheduler_mailbox_full", "full", 1.2))
    const stream = picker.open()
    tellChat(stream)
    expect((await stream.hear()).headers.get("retry-after")).toBe("2")
  })

  test("of a body above the bound comes before its end", async () => {
    await using picker = await TestPicker.start({ front: { bodyBytesMax: 1000 } })
    const stream = picker.open()
    stream.tell({ requestHeaders: { headers: headerMap(chatHeaders) }, protocolConfig: fullDuplex })
    stream.tell({ requestBody: { body: base64("x".repeat(1001)) } })
    expect((await stream.hear()).status).toBe("PayloadTooLarge")
  })

  test("of a body for which there is no room beside the others leaves the others alone", async () => {
    await using picker = await TestPicker.start({ front: { requestBytesMax: 1000 } })
    const first = picker.open()
    first.tell({ requestHeaders: { headers: headerMap(chatHeaders) }, protocolConfig: fullDuplex })
    first.tell({ requestBody: { body: base64(chatBody({ padding: "x".repeat(500) })) } })
    await eventually("the first one's bytes", () => picker.heldBytes() > 500)
    const second = picker.open()
    tellChat(second, chatBody({ padding: "x".repeat(500) }))
    expect((await second.hear()).status).toBe("TooManyRequests")
    first.tell({ requestBody: { endOfStream: true } })
    expect((await first.hear()).destination).toBe(ids.join(","))
    const third = picker.open()
    tellChat(third, chatBody({ padding: "x".repeat(500) }))
    expect((await third.hear()).about).toBe("requestHeaders")
    expect(picker.heldBytes()).toBe(0)
  })

  test("of a body that does not come in time is 408", async () => {
    await using picker = await TestPicker.start({ front: { bodyReadTimeoutMs: 20 } })
    const stream = picker.open()
    stream.tell({ requestHeaders: { headers: headerMap(chatHeaders) }, protocolConfig: fullDuplex })
    expect((await stream.hear()).status).toBe("RequestTimeout")
  })

  test("of one stream too many is 429, and the open ones go on", async () => {
    await using picker = await TestPicker.start({ options: { openStreamsMax: 1 } })
    const first = picker.open()
    first.tell({ requestHeaders: { headers: headerMap(chatHeaders) }, protocolConfig: fullDuplex })
    const second = picker.open()
    tellChat(second)
    expect((await second.hear()).status).toBe("TooManyRequests")
    first.tell({ requestBody: { body: base64(chatBody()), endOfStream: true } })
    expect((await first.hear()).destination).toBe(ids.join(","))
  })

  test("of a body mode that can't be routed by says which ones can", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    tellChat(stream, chatBody(), { requestBodyMode: "STREAMED", responseBodyMode: "NONE" })
    const heard = await stream.hear()
    expect(heard.status).toBe("InternalServerError")
    expect(heard.immediateBody).toContain("FULL_DUPLEX_STREAMED or BUFFERED")
  })

  test("has Anthropic's form on Anthropic's routes", async () => {
    await using picker = await TestPicker.start()
    const stream = picker.open()
    tellChat(stream, "{", fullDuplex, { ...chatHeaders, ":path": "/v1/messages" })
    expect(JSON.parse((await stream.hear()).immediateBody)).toMatchObject({ type: "error" })
  })
})

test("streams that are opened later have the options of then, and those that are open go on", async () => {
  await using picker = await TestPicker.start({ options: { openStreamsMax: 1, fallbacks: 0 } })
  const first = picker.open()
  first.tell({ requestHeaders: { headers: headerMap(chatHeaders) }, protocolConfig: fullDuplex })
  await eventually("it is open", () => picker.server.openRequests() === 1)
  picker.server.replaceOptions({ ...shippedOptions, openStreamsMax: 2, messageBytesMax: 2000 })
  const second = picker.open()
  tellChat(second)
  expect((await second.hear()).destination).toBe(ids.join(","))
  picker.server.replaceOptions({ ...shippedOptions, openStreamsMax: 1 })
  const third = picker.open()
  tellChat(third)
  expect((await third.hear()).status).toBe("TooManyRequests")
  first.tell({ requestBody: { body: base64(chatBody()), endOfStream: true } })
  expect((await first.hear()).destination?.split(",").length).toBe(3)
})

test("a message beyond the bound of now ends the stream", async () => {
  await using picker = await TestPicker.start()
  picker.server.replaceOptions({ ...shippedOptions, messageBytesMax: 100 })
  const stream = picker.open()
  tellChat(stream, chatBody({ padding: "x".repeat(1000) }))
  expect((await stream.end).status).toBe(8)
})

test("without fallbacks the destination is one pod", async () => {
  await using picker = await TestPicker.start({ options: { fallbacks: 0 } })
  const stream = picker.open()
  tellChat(stream)
  expect((await stream.hear()).destination).toBe(ids[0])
})

test("a session is known by the policy's sources, whether the body is read or not", async () => {
  const sessionSources = [{ header: "x-user" }, { cookie: "sid" }]
  await using picker = await TestPicker.start({ front: { sessionSources } })
  const named = { ...chatHeaders, cookie: "sid=ann", "x-session-id": "other" }
  const read = picker.open()
  tellChat(read, chatBody(), fullDuplex, named)
  await read.hear()
  const unread = picker.open()
  unread.tell({
    requestHeaders: { headers: headerMap({ ...named, ":path": "/unknown" }), endOfStream: true },
    protocolConfig: fullDuplex
  })
  await unread.hear()
  expect(picker.scheduler.picks.map(({ request }) => request.sessionHash)).toEqual([hashText("ann"), hashText("ann")])
})
