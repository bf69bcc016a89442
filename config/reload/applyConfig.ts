import { Effect } from "effect"
import type { DiscoveryHandle } from "../../actors/DiscoveryActor.ts"
import type { ActorRef } from "../../actors/runtime/Actor.ts"
import { tellPatiently } from "../../actors/runtime/tellPatiently.ts"
import type { SchedulerMessage } from "../../actors/SchedulerMessages.ts"
import type { Discovery } from "../../src/discovery/Discovery.ts"
import { makePolicy } from "../../src/policies/registry.ts"
import type { GatewayConfig } from "../GatewayConfig.ts"
import { GatewayStartError } from "../GatewayStartError.ts"
import type { Doors } from "../layers/doors.ts"
import { sourcesAfter } from "../layers/podSources.ts"
import type { Taker } from "./takers.ts"

/** What of a running gateway takes other settings. */
export interface RunningParts {
  readonly doors: Pick<Doors["Type"], "reload">
  readonly scheduler: ActorRef<SchedulerMessage>
  readonly discovery: DiscoveryHandle
  /** Those that discovery follows since the start. */
  readonly sources: ReadonlyArray<Discovery>
  /** Everything that takes whatever a configuration says, in order. */
  readonly takers: ReadonlyArray<Taker>
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
      yield* Effect.forEach(parts.takers, (take) => take(after), { discard: true })
      if (policy !== undefined) yield* tellPatiently(parts.scheduler, { _tag: "PolicyReplaced", policy })
      if (same(before.pods, after.pods) && same(before.discovery, after.discovery)) return
      sources = sourcesAfter(sources, before, after)
      yield* parts.discovery.replaceSources(sources)
    })
}

const same = (a: unknown, b: unknown): boolean => Bun.deepEquals(a, b, true)
