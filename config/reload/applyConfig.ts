import { Effect } from "effect"
import type { DiscoveryHandle } from "../../actors/DiscoveryActor.ts"
import type { PoolMessage } from "../../actors/PoolSupervisor.ts"
import type { ActorRef } from "../../actors/runtime/Actor.ts"
import { tellPatiently } from "../../actors/runtime/tellPatiently.ts"
import type { SchedulerMessage } from "../../actors/SchedulerMessages.ts"
import type { Discovery } from "../../src/discovery/Discovery.ts"
import type { FrontServer } from "../../src/http/serveFront.ts"
import { makePolicy } from "../../src/policies/registry.ts"
import type { FrontDeps } from "../../src/http/FrontOptions.ts"
import type { GatewayConfig } from "../GatewayConfig.ts"
import { GatewayStartError } from "../GatewayStartError.ts"
import type { Doors } from "../layers/doors.ts"
import { sourcesAfter } from "../layers/podSources.ts"
import { poolSettings } from "../layers/pool.ts"

/** What of a running gateway takes other settings. */
export interface RunningParts {
  readonly scheduler: ActorRef<SchedulerMessage>
  readonly pool: ActorRef<PoolMessage>
  readonly discovery: DiscoveryHandle
  /** Those that discovery follows since the start. */
  readonly sources: ReadonlyArray<Discovery>
  readonly doors: Pick<Doors["Type"], "reload">
  readonly front: Pick<FrontServer, "replaceOptions">
  readonly frontSettings: (config: GatewayConfig) => Pick<FrontDeps, "options" | "upstream">
}

/**
 * Brings the running gateway from one configuration to another. What can be refused comes first, so that it is taken
 * whole or not at all; no open request notices.
 */
export const applyConfig = (
  parts: RunningParts
): (before: GatewayConfig, after: GatewayConfig) => Effect.Effect<void, GatewayStartError> => {
  let { sources } = parts
  return (before, after) =>
    Effect.gen(function*() {
      const policy = same(before.policy, after.policy)
        ? undefined
        : yield* Effect.mapError(
          makePolicy(after.policy, after.limits.podsMax),
          (why) => new GatewayStartError({ message: `policy: ${why}` })
        )
      yield* parts.doors.reload(after)
      const { options, upstream } = parts.frontSettings(after)
      parts.front.replaceOptions(options, upstream)
      if (policy !== undefined) yield* tellPatiently(parts.scheduler, { _tag: "PolicyReplaced", policy })
      yield* tellPatiently(parts.pool, { _tag: "PoolSettingsReplaced", settings: poolSettings(after) })
      if (same(before.pods, after.pods) && same(before.discovery, after.discovery)) return
      sources = sourcesAfter(sources, before, after)
      yield* parts.discovery.replaceSources(sources)
    })
}

const same = (a: unknown, b: unknown): boolean => Bun.deepEquals(a, b, true)
