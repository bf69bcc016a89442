import { evenPod, type Fleet, fleetOf, type FleetOptions } from "../Fleet.ts"

const DIES_AT_S = 150
/** vLLM takes about a minute to load a model of this size and to capture its graphs. */
const RETURNS_AT_S = 220

/** The first pod's process dies with all that it was doing, and another one with an empty cache serves 70 s later. */
export const make = ({ constants, pods }: FleetOptions): Fleet => {
  const pod = evenPod(constants)
  const lost = { ...pod, diesAtS: DIES_AT_S, returnsAtS: RETURNS_AT_S }
  return fleetOf(pods, (index) => index === 0 ? lost : pod)
}
