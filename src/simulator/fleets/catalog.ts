import { evenFleet, type Fleet, type FleetOptions } from "../Fleet.ts"
import * as coldJoiners from "./coldJoiners.ts"
import * as halfSlow from "./halfSlow.ts"
import * as kvEdge from "./kvEdge.ts"
import * as lostPod from "./lostPod.ts"
import * as severalGateways from "./severalGateways.ts"
import * as wrongConstants from "./wrongConstants.ts"

/** The fleet that is meant when nobody says. */
export const evenFleetName = "even"

/** Every fleet by the name that `--fleet` takes. */
export const fleets: ReadonlyMap<string, (options: FleetOptions) => Fleet> = new Map([
  [evenFleetName, evenFleet],
  ["half-slow", halfSlow.known],
  ["half-slow-unknown", halfSlow.unknown],
  ["lost-pod", lostPod.make],
  ["cold-joiners", coldJoiners.make],
  ["wrong-constants", wrongConstants.make],
  ["believed-2x-slower", wrongConstants.shared(2)],
  ["believed-2x-faster", wrongConstants.shared(0.5)],
  ["kv-285k", kvEdge.withCapacity(285_000)],
  ["kv-250k", kvEdge.withCapacity(250_000)],
  ["slow-kv-reads", kvEdge.slowReads],
  ["2-gateways", severalGateways.apart(2)],
  ["2-gateways-shared", severalGateways.sharing(2)],
  ["4-gateways", severalGateways.apart(4)],
  ["4-gateways-shared", severalGateways.sharing(4)]
])
