import type { Scheduler } from "../core/Scheduler.ts"
import type { Fleet } from "./Fleet.ts"
import type { SimulatedPod } from "./SimulatedPod.ts"

/** A pod is found and has said what it is; it gets requests once a scrape of it was good. */
export const joinPod = (
  schedulers: ReadonlyArray<Scheduler>,
  fleet: Fleet,
  pods: ReadonlyArray<SimulatedPod<unknown>>,
  index: number,
  model: string
): void => {
  const { address, engine, kvCapacityTokens } = pods[index]!
  for (const scheduler of schedulers) {
    scheduler.join(address, fleet.pods[index]!.believed)
    scheduler.describe(address.id, engine.pool.blockSizeTokens, kvCapacityTokens, [model])
  }
}
