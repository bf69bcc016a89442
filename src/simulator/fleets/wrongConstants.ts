import { evenPod, type Fleet, fleetOf, type FleetOptions } from "../Fleet.ts"
import { SeededRandom } from "../SeededRandom.ts"
import { slowedBy } from "./slowedBy.ts"

const ERROR_SHARE = 0.3
/** Keeps these draws apart from those of the workload with the same seed. */
const STREAM = 7

/** Equal pods, all of which the scheduler takes for `factor` times as slow as they are, as with a wrong preset. */
export const shared = (factor: number) => ({ constants, pods }: FleetOptions): Fleet =>
  fleetOf(pods, () => ({ ...evenPod(constants), believed: slowedBy(constants, factor) }))

/** Equal pods, each of which the scheduler takes for up to 30 % slower or faster than it is, by chance. */
export const make = ({ constants, pods, seed }: FleetOptions): Fleet => {
  const random = new SeededRandom(seed).fork(STREAM)
  return fleetOf(pods, () => ({
    ...evenPod(constants),
    believed: slowedBy(constants, random.between(1 - ERROR_SHARE, 1 + ERROR_SHARE))
  }))
}
