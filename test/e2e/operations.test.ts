import { expect, test } from "bun:test"
import { Context, Effect, Exit, Layer, Logger, Scope } from "effect"
import * as Gateway from "../../config/Gateway.ts"
import * as gatewayConfig from "../../config/layers/gatewayConfig.ts"
import { PlacementPolicy } from "../../config/layers/placementPolicy.ts"
import { makeDefectLog } from "../../config/layers/defectLog.ts"
import * as podSources from "../../config/layers/podSources.ts"
import { layer as logLayer } from "../../config/layers/log.ts"
import { layerNone } from "../../src/storage/SnapshotStore.ts"
import { eventually } from "../lib/eventually.ts"
import { startRawPod } from "../lib/rawPod.ts"
import { emulatedModel, startTestFleet } from "../lib/testFleet.ts"
import { startTestGateway, type TestGateway } from "../lib/testGateway.ts"
import { valueOf } from "../telemetry/page.ts"

const pageOf = async ({ url }: { readonly url: string }): Promise<string> => (await fetch(`${url}/metrics`)).text()

const complete = ({ url }: { readonly url: string }, fields: object = {}, signal?: AbortSignal): Promise<Response> =>
  fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: emulatedModel, prompt: "hello", max_tokens: 2, ...fields }),
    signal: signal ?? null
  })

const limitOf = async (gateway: TestGateway, limit: string): Promise<ReadonlyArray<number | undefined>> => {
  const page = await pageOf(gateway)
  return [valueOf(page, "warmroute_limit_used", { limit }), valueOf(page, "warmroute_limit_max", { limit })]
}

test("errors are counted by our own codes, and bounds show what is in use of them", async () => {
  const fleet = await startTestFleet(1)
  let heads = 0
  const silent = startRawPod((request, connection) => {
    if (request.method !== "GET") return void heads++
    void fetch((fleet.urls[0] ?? "") + request.path).then(async (page) => {
      const body = await page.text()
      connection.send(`HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
    })
  })
  const gateway = await startTestGateway({ pods: [silent.url], config: { limits: { openRequestsMax: 1 } } })
  try {
    await gateway.healthyPods(1)
    expect(await limitOf(gateway, "limits.requestBytesMax")).toEqual([0, 1024 ** 3])
    const leaving = new AbortController()
    const hanging = complete(gateway, { prompt: "x".repeat(1000) }, leaving.signal).catch(() => undefined)
    await eventually("a request at the pod", () => heads === 1)
    expect((await limitOf(gateway, "limits.requestBytesMax"))[0]).toBeGreaterThan(1000)
    expect(await limitOf(gateway, "limits.openRequestsMax")).toEqual([1, 1])
    expect((await complete(gateway)).status).toBe(429)
    expect((await fetch(`${gateway.url}/nothing`)).status).toBe(404)
    const page = await pageOf(gateway)
    expect(valueOf(page, "warmroute_errors_total", { code: "too_many_open_requests" })).toBe(1)
    expect(valueOf(page, "warmroute_errors_total", { code: "unknown_route" })).toBe(1)
    leaving.abort()
    await hanging
    await gateway.becomesIdle()
    expect((await limitOf(gateway, "limits.requestBytesMax"))[0]).toBe(0)
  } finally {
    await gateway.stop()
    silent.stop()
    await fleet.stop()
  }
})

test("a crash of an actor is counted, and the gateway goes on", async () => {
  const fleet = await startTestFleet(1)
  let picks = 0
  const policy = {
    type: "crashes-once",
    pick: () => {
      if (picks++ === 0) throw new Error("a defect of the policy")
      return 0
    }
  }
  const composed = Gateway.layerOpen.pipe(
    Layer.provide(Layer.succeed(PlacementPolicy, policy)),
    Layer.provide(podSources.layer),
    Layer.provide(layerNone),
    Layer.provide(logLayer({ level: "none", format: "text" })),
    Layer.provide(gatewayConfig.layer({
      listen: { hostname: "127.0.0.1", port: 0 },
      admin: { enabled: false },
      pods: fleet.urls,
      scrape: { interval: "100 millis" }
    }))
  )
  const scope = await Effect.runPromise(Scope.make())
  try {
    const context = await Effect.runPromise(Scope.extend(Layer.build(composed), scope))
    const gateway = Context.get(context, Gateway.Gateway)
    await eventually("a healthy pod", () => gateway.poolView.pods().some(({ health }) => health === "healthy"))
    expect([(await complete(gateway)).status, (await complete(gateway)).status]).toEqual([500, 200])
    const page = await pageOf(gateway)
    expect(valueOf(page, "warmroute_actor_crashes_total", { actor: "scheduler" })).toBe(1)
    expect(valueOf(page, "warmroute_actor_crashes_total", { actor: "pod" })).toBe(0)
    expect(valueOf(page, "warmroute_errors_total", { code: "internal_error" })).toBe(1)
  } finally {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await fleet.stop()
  }
})

test("a defect that meets every request is logged once with its cause, and then counted", async () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ message }) => void lines.push(String(message)))
  await Effect.runPromise(
    Effect.scoped(Effect.gen(function*() {
      const log = yield* makeDefectLog
      for (let request = 0; request < 100; request++) log("a request failed", new Error(`of ${request}`))
      log("another did")
    })).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
  )
  expect(lines).toEqual([
    "a request failed,Error: of 0",
    "another did",
    "a request failed (99 more since the last such line)"
  ])
})
