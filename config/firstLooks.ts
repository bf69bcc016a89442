import { Effect } from "effect"
import type { PoolView } from "../actors/PoolView.ts"

/**
 * Waits until every pod was looked at once, or for so long. Who comes right after a start would else all go to the
 * pod that answers first.
 */
export const firstLooks = ({ pods }: Pick<PoolView, "pods">, withinMs: number): Effect.Effect<void> => {
  const look = Effect.sync(() => pods().some(({ health }) => health === "starting"))
  const looked = Effect.repeat(Effect.delay(look, LOOK_EVERY_MS), { until: (isOpen) => !isOpen })
  return Effect.asVoid(Effect.timeoutOption(looked, withinMs))
}

const LOOK_EVERY_MS = 5
