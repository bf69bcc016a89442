import { Effect, Stream } from "effect"
import type { PodAddress } from "../core/Pod.ts"
import { type Discovery, DiscoveryError } from "./Discovery.ts"
import { faultOfList } from "./lastGood.ts"

/** The pods that the operator wrote down, in that order, for as long as the gateway runs. */
export const staticDiscovery = (addresses: ReadonlyArray<PodAddress>): Discovery => {
  const fault = faultOfList(addresses, Number.POSITIVE_INFINITY)
  return {
    name: "the configuration",
    addresses: fault === undefined
      ? Stream.concat(Stream.make(addresses), Stream.never)
      : Stream.fromEffect(Effect.fail(new DiscoveryError({ source: "the configuration", why: fault })))
  }
}
