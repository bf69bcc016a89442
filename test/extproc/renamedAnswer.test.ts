import { describe, expect, test } from "bun:test"
import { modelRewrites } from "../../src/core/ModelRewrite.ts"
import { base64, type EnvoyStream, headerMap } from "./EnvoyStream.ts"
import { chatBody, heardBody, tellChat, TestPicker } from "./TestPicker.ts"

/** `gpt-4o` is an alias of `qwen3`, which the cluster sends to `served-32b`. */
const front = {
  aliases: new Map([["gpt-4o", "qwen3"]]),
  rewrites: modelRewrites([{
    name: "canary",
    createdAt: "2026-01-01T00:00:00Z",
    rules: [{ models: ["qwen3"], targets: [{ model: "served-32b", weight: 1 }] }]
  }])
}

const answering = async (
  picker: TestPicker,
  responseBodyMode: string,
  requestBodyMode: string
): Promise<EnvoyStream> => {
  const stream = picker.open()
  tellChat(stream, chatBody({ model: "gpt-4o", stream: true }), { requestBodyMode, responseBodyMode })
  await stream.hear()
  if (requestBodyMode === "BUFFERED") await stream.hear()
  else expect(JSON.parse((await heardBody(stream)).toString())).toMatchObject({ model: "served-32b" })
  stream.tell({
    responseHeaders: { headers: headerMap({ ":status": "200", "content-type": "text/event-stream" }) }
  })
  return stream
}

describe("the answer to a request whose model the cluster rewrote", () => {
  test("has the client's name in full duplex, also where the name comes in pieces", async () => {
    await using picker = await TestPicker.start({ front })
    const stream = await answering(picker, "FULL_DUPLEX_STREAMED", "FULL_DUPLEX_STREAMED")
    await stream.hear()
    expect(picker.scheduler.picks[0]?.request.model).toBe("served-32b")
    const heard: Array<string> = []
    for (const piece of ["data: {\"model\":\"serv", "ed-32b\",\"x\":1}\n\n", "data: {\"mod"]) {
      stream.tell({ responseBody: { body: base64(piece) } })
      heard.push((await stream.hear()).streamed.body.toString())
    }
    stream.tell({ responseBody: { endOfStream: true } })
    const { body, ends } = (await stream.hear()).streamed
    expect(heard).toEqual(["data: {", "\"model\":\"gpt-4o\",\"x\":1}\n\n", "data: {"])
    expect([body.toString(), ends]).toEqual(["\"mod", true])
  })

  test("has what was held back before its trailers", async () => {
    await using picker = await TestPicker.start({ front })
    const stream = await answering(picker, "FULL_DUPLEX_STREAMED", "FULL_DUPLEX_STREAMED")
    await stream.hear()
    stream.tell({ responseBody: { body: base64("x\"model") } })
    expect((await stream.hear()).streamed.body.toString()).toBe("x")
    stream.tell({ responseTrailers: {} })
    expect((await stream.hear()).streamed.body.toString()).toBe("\"model")
    expect((await stream.hear()).about).toBe("responseTrailers")
  })

  test("has it in streamed mode, which a picker asks for where Envoy would keep the body", async () => {
    await using picker = await TestPicker.start({ front })
    const stream = await answering(picker, "NONE", "BUFFERED")
    expect((await stream.hear()).json["modeOverride"]).toMatchObject({ responseBodyMode: "STREAMED" })
    stream.tell({ responseBody: { body: base64("data: {\"model\": \"served-32b\"}\n\n"), endOfStream: true } })
    expect((await stream.hear()).replacedBody?.toString()).toBe("data: {\"model\":\"gpt-4o\"}\n\n")
  })
})
