import { Data, type Stream } from "effect"
import type { PodAddress } from "../core/Pod.ts"

/** A source of pods could not be read. `source` names it (a path, a DNS name), `why` says what and where. */
export class DiscoveryError extends Data.TaggedError("DiscoveryError")<{
  readonly source: string
  readonly why: string
}> {
  override get message(): string {
    return `${this.source}: ${this.why}`
  }
}

/** Where pods come from. */
export interface Discovery {
  /** For logs: `static`, `file /etc/pods.yaml`, `dns vllm.default.svc`. */
  readonly name: string
  /**
   * Each element is the full current set in a stable order without duplicates; it comes at the start and at each change.
   * Fails only before the first set, so that a wrong path or name is seen at once; a fault later is logged
   * as a warning and the last good set stands.
   */
  readonly addresses: Stream.Stream<ReadonlyArray<PodAddress>, DiscoveryError>
}
