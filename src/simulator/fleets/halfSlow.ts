import type { EngineConstants } from "../../core/EngineConstants.ts"
import { evenPod, type Fleet, fleetOf, type FleetOptions } from "../Fleet.ts"
import { slowedBy } from "./slowedBy.ts"

const SLOWNESS = 2

/** Every second pod takes twice as long for everything, and the scheduler is configured with that. */
export const known = (options: FleetOptions): Fleet => halfSlow(options, (engine) => engine)

/** Every second pod takes twice as long for everything, and the scheduler takes all for equal. */
export const unknown = (options: FleetOptions): Fleet => halfSlow(options, () => options.constants)

const halfSlow = (
  { constants, pods }: FleetOptions,
  believedOf: (engine: EngineConstants) => EngineConstants
): Fleet => {
  const slow = slowedBy(constants, SLOWNESS)
  return fleetOf(pods, (index) => {
    const engine = index % 2 === 1 ? slow : constants
    return { ...evenPod(engine), believed: believedOf(engine) }
  })
}
