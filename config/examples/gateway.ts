/**
 * A gateway composed in TypeScript: each choice is a Layer, and one of them, the policy, is written here.
 * Run it with `bun config/examples/gateway.ts http://10.0.0.7:8000 http://10.0.0.8:8000`.
 */
import * as BunRuntime from "@effect/platform-bun/BunRuntime"
import { Effect, Layer } from "effect"
import type { Policy } from "../../src/core/Policy.ts"
import * as leastRequests from "../../src/policies/placement/least-requests.ts"
import { layerNone } from "../../src/storage/SnapshotStore.ts"
import * as Gateway from "../Gateway.ts"
import { GatewayConfig, type GatewayConfigInput } from "../GatewayConfig.ts"
import * as gatewayConfig from "../layers/gatewayConfig.ts"
import * as log from "../layers/log.ts"
import { PlacementPolicy } from "../layers/placementPolicy.ts"
import * as podSources from "../layers/podSources.ts"

/** Requests of one session stay on one pod; those without a session go where the fewest requests are open. */
const sessionOrLeast: Policy = {
  type: "session-or-least",
  pick: (context) => {
    const { candidateCount, candidates, request } = context
    return request.sessionHash === 0
      ? leastRequests.make().pick(context)
      : candidates[Math.abs(request.sessionHash) % candidateCount] ?? -1
  }
}

/** Own policy, pods from the configuration, nothing kept across restarts. */
export const gateway = (input: GatewayConfigInput) =>
  Gateway.layerOpen.pipe(
    Layer.provide(Layer.succeed(PlacementPolicy, sessionOrLeast)),
    Layer.provide(podSources.layer),
    Layer.provide(layerNone),
    Layer.provide(Layer.unwrapEffect(Effect.map(GatewayConfig, (config) => log.layer(config.log)))),
    Layer.provide(gatewayConfig.layer(input))
  )

const serveForever = Effect.gen(function*() {
  const { url } = yield* Gateway.Gateway
  yield* Effect.log(`listening on ${url}`)
  yield* Effect.never
})

if (import.meta.main) {
  const layer = gateway({
    pods: process.argv.slice(2),
    scrape: { interval: "500 millis" },
    answers: { podHeader: false }
  })
  // The gateway's log layer formats; the runtime's own logger would print every line twice.
  BunRuntime.runMain(Effect.provide(serveForever, layer), { disablePrettyLogger: true })
}
