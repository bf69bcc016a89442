import { evenFleet, type Fleet, type FleetOptions } from "../Fleet.ts"

const SHARED_AFTER_S = 0.1

/** Gateways that know of each other's requests only what the pods' metrics show. */
export const apart = (gateways: number) => (options: FleetOptions): Fleet => ({ ...evenFleet(options), gateways })

/** Gateways that hear of each other's dispatches, first tokens and ends 100 ms later. */
export const sharing = (gateways: number) => (options: FleetOptions): Fleet => ({
  ...evenFleet(options),
  gateways,
  sharedAfterS: SHARED_AFTER_S
})
