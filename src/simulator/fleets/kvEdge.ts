import { evenFleet, type Fleet, type FleetOptions } from "../Fleet.ts"

const READ_SLOWNESS = 1.36

/** Pods with less room for KV, so that what the workload repeats hardly fits the fleet. */
export const withCapacity = (kvCapacityTokens: number) => (options: FleetOptions): Fleet =>
  evenFleet({ ...options, constants: { ...options.constants, kvCapacityTokens } })

/** Decode steps that read KV 36 % slower, so that requests hold their KV longer. */
export const slowReads = (options: FleetOptions): Fleet => {
  const { constants } = options
  return evenFleet({ ...options, constants: { ...constants, contextTokenS: constants.contextTokenS * READ_SLOWNESS } })
}
