import { evenPod, type Fleet, fleetOf, type FleetOptions } from "../Fleet.ts"

const JOIN_AT_S = 150

/** Every second pod joins only in the middle of the run, its cache empty. */
export const make = ({ constants, pods }: FleetOptions): Fleet => {
  const pod = evenPod(constants)
  const joiner = { ...pod, joinsAtS: JOIN_AT_S }
  return fleetOf(pods, (index) => index % 2 === 1 ? joiner : pod)
}
