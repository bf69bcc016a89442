import { Context, Effect, Layer } from "effect"
import type { Policy } from "../../src/core/Policy.ts"
import { makePolicy } from "../../src/policies/registry.ts"
import { GatewayConfig } from "../GatewayConfig.ts"
import { GatewayStartError } from "../GatewayStartError.ts"

/** The policy that places requests. */
export class PlacementPolicy extends Context.Tag("warmroute/PlacementPolicy")<PlacementPolicy, Policy>() {}

/** The policy that the configuration names. */
export const layer: Layer.Layer<PlacementPolicy, GatewayStartError, GatewayConfig> = Layer.effect(
  PlacementPolicy,
  Effect.flatMap(GatewayConfig, ({ limits, policy }) =>
    makePolicy(policy, limits.podsMax).pipe(
      Effect.mapError((why) => new GatewayStartError({ message: `policy: ${why}` }))
    ))
)
