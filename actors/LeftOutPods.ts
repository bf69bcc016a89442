import { Effect } from "effect"
import { counted } from "../src/core/counted.ts"
import type { PodId } from "../src/core/Pod.ts"

/** A cluster may list thousands. */
const NAMED_MAX = 20

/** Pods that the pool has no room for; each set of them is logged once. */
export class LeftOutPods {
  private names = ""

  /** `ids`: all that are left out now. */
  warn(ids: ReadonlyArray<PodId>, podsMax: number): Effect.Effect<void> {
    const names = ids.join(", ")
    if (names === this.names) return Effect.void
    this.names = names
    if (names === "") return Effect.void
    const more = ids.length > NAMED_MAX ? ` and ${ids.length - NAMED_MAX} more` : ""
    const named = ids.slice(0, NAMED_MAX).join(", ")
    return Effect.logWarning(
      `the pool has its ${counted(podsMax, "pod")} (limits.podsMax), so these are left out: ${named}${more}`
    )
  }
}
