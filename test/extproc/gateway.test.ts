import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import http2, { type ClientHttp2Session } from "node:http2"
import { emulatedModel, startTestFleet, type TestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"
import { base64, EnvoyStream, headerMap, type HeardResponse } from "./EnvoyStream.ts"
import { chatBody, chatHeaders, fullDuplex } from "./TestPicker.ts"

let fleet: TestFleet
let loraFleet: TestFleet
let gateway: TestGateway
let session: ClientHttp2Session

/** Three pods on one address, as data-parallel ranks are, the last with an adapter of its own. */
let ids: ReadonlyArray<string>

beforeAll(async () => {
  fleet = await startTestFleet(2)
  loraFleet = await startTestFleet(1, { loraAdapters: ["sql-lora"] })
  const urls = [...fleet.urls, ...loraFleet.urls]
  ids = urls.map((url) => new URL(url).host)
  gateway = await startTestGateway({
    pods: urls,
    config: {
      extproc: { listen: { hostname: "127.0.0.1", port: 0 }, healthPort: 0 },
      models: { aliases: { "gpt-4o": emulatedModel } }
    }
  })
  await gateway.healthyPods(3)
  session = http2.connect(`http://127.0.0.1:${gateway.handle.picker?.port}`)
}, 30_000)

afterAll(async () => {
  session?.destroy()
  await gateway?.stop()
  await fleet?.stop()
  await loraFleet?.stop()
})

interface Asked {
  readonly stream: EnvoyStream
  readonly heard: HeardResponse
}

const ask = async (fields: object, subset?: ReadonlyArray<string>): Promise<Asked> => {
  const stream = new EnvoyStream(session)
  const hint = { "envoy.lb.subset_hint": { "x-gateway-destination-endpoint-subset": [...subset ?? []] } }
  stream.tell({
    requestHeaders: { headers: headerMap(chatHeaders) },
    protocolConfig: fullDuplex,
    ...(subset === undefined ? {} : { metadataContext: { filterMetadata: hint } })
  })
  const body = chatBody({ model: emulatedModel, ...fields })
  stream.tell({ requestBody: { body: base64(body), endOfStream: true } })
  return { stream, heard: await stream.hear() }
}

const first = ({ heard }: Asked): string => heard.destination?.split(",")[0] ?? ""

/** The pod answers in full, so that its cache is believed to hold the prompt. */
const answered = async ({ stream }: Asked): Promise<void> => {
  stream.tell({ responseHeaders: { headers: headerMap({ ":status": "200", "content-type": "application/json" }) } })
  stream.tell({ responseBody: { body: base64("{}"), endOfStream: true } })
  stream.halfClose()
  await stream.end
}

describe("the gateway as a picker", () => {
  test("spreads requests that come at once, each counted the moment it is picked", async () => {
    const asked = await Promise.all(
      ids.map((_, i) => ask({ messages: [{ role: "user", content: `story ${i} `.repeat(400) }] }))
    )
    expect(new Set(asked.map(first)).size).toBe(3)
    expect(gateway.handle.openRequests()).toBe(3)
    await Promise.all(asked.map(answered))
    await gateway.becomesIdle()
  })

  test("avoids the pods that are busy", async () => {
    const busy = await Promise.all(
      ids.slice(0, 2).map((id) => ask({ messages: [{ role: "user", content: `long ${id} `.repeat(2000) }] }, [id]))
    )
    const next = await ask({ messages: [{ role: "user", content: "short" }] })
    expect(first(next)).toBe(ids[2]!)
    await Promise.all([...busy, next].map(answered))
    await gateway.becomesIdle()
  })

  test("stays on the pod that has the prompt cached", async () => {
    const content = "a prefix that is long enough to be worth something ".repeat(200)
    const once = await ask({ messages: [{ role: "user", content }] })
    await answered(once)
    await gateway.becomesIdle()
    for (let again = 0; again < 3; again++) {
      const next = await ask({ messages: [{ role: "user", content }] })
      expect(first(next)).toBe(first(once))
      await answered(next)
      await gateway.becomesIdle()
    }
  })

  test("picks an adapter's pod, and no other even as a fallback", async () => {
    const asked = await ask({ model: "sql-lora" })
    expect(asked.heard.destination).toBe(ids[2])
    await answered(asked)
  })

  test("names each rank of a host by its own port", async () => {
    const asked = await ask({})
    expect(new Set(asked.heard.destination?.split(","))).toEqual(new Set(ids))
    await answered(asked)
  })

  test("rewrites an alias", async () => {
    const asked = await ask({ model: "gpt-4o" })
    expect(JSON.parse((await asked.stream.hear()).streamed.body.toString())).toMatchObject({ model: emulatedModel })
    await answered(asked)
  })

  test("answers 404 for a model that nobody serves, and 503 when the subset has no pod for it", async () => {
    expect((await ask({ model: "gpt-9" })).heard.status).toBe("NotFound")
    expect((await ask({ model: "sql-lora" }, ids.slice(0, 2))).heard.status).toBe("ServiceUnavailable")
  })

  test("honours a subset of one", async () => {
    for (const id of ids) {
      const asked = await ask({}, [id])
      expect(asked.heard.destination).toBe(id)
      await answered(asked)
    }
  })

  test("has nothing in flight once every stream has gone, however it went", async () => {
    const asked = await Promise.all(Array.from({ length: 30 }, (_, i) => ask({ stream: i % 2 === 0 })))
    await Promise.all(
      asked.map((each, i) => i % 3 === 0 ? answered(each) : i % 3 === 1 ? each.stream.reset() : each.stream.halfClose())
    )
    await gateway.becomesIdle()
    expect(gateway.handle.openRequests()).toBe(0)
  })
})

test("a port that is taken is named, with the setting to change", async () => {
  const start = startTestGateway({
    pods: fleet.urls,
    config: { extproc: { listen: { hostname: "127.0.0.1", port: gateway.handle.picker?.port } } }
  })
  await expect(start).rejects.toThrow("extproc.listen.port")
})

test("a certificate that can't be read stops the start, and says which setting names it", async () => {
  const start = startTestGateway({
    pods: fleet.urls,
    config: { extproc: { listen: { port: 0 }, tls: "files", certPath: "/nowhere/c.pem", keyPath: "/nowhere/k.pem" } }
  })
  await expect(start).rejects.toThrow("extproc.certPath")
})
