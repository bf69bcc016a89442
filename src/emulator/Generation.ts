import type { EngineRequest } from "./engine/EngineRequest.ts"
import type { OutputPlan } from "./OutputPlan.ts"

/** One engine request as the HTTP side sees it: tokens become visible when the step that makes them ends. */
export class Generation {
  readonly plan: OutputPlan
  /** LoRA adapter, empty for the base model. */
  readonly adapter: string
  request!: EngineRequest<Generation>
  visibleTokens = 0
  /** All tokens are visible. */
  complete = false
  ended = false
  aborted = false
  /** Set while the driver has news of it to tell. */
  changed = false
  /** Called after tokens became visible, also for the last ones, and at an abort. */
  onProgress: (() => void) | undefined
  /** Resolves once, at the end or at the abort. */
  readonly whenEnded: Promise<void>
  private resolveEnded!: () => void

  constructor(plan: OutputPlan, adapter: string) {
    this.plan = plan
    this.adapter = adapter
    this.whenEnded = new Promise((resolve) => {
      this.resolveEnded = resolve
    })
  }

  end(aborted: boolean): void {
    this.ended = true
    this.aborted = aborted
    this.onProgress?.()
    this.resolveEnded()
  }
}
