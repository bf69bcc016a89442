import type { RequestEnd } from "../../../actors/SchedulerPort.ts"
import type { Usage } from "../AnswerTail.ts"
import type { KeyHolder } from "./KeyHolder.ts"

/** One request that came in by a key, from its admission to its end. */
export class KeyLease {
  private readonly holder: KeyHolder
  private readonly nowMs: () => number
  private chargedTokens = 0
  private ended = false

  constructor(holder: KeyHolder, nowMs: () => number) {
    this.holder = holder
    this.nowMs = nowMs
  }

  get keyName(): string {
    return this.holder.name
  }

  /** Before the pick, when the model and the prompt are known. Throws ModelForbidden or KeyLimited. */
  charge(model: string, promptTokens: number): void {
    this.holder.checkModel(model)
    this.holder.chargePrompt(promptTokens, this.nowMs())
    this.chargedTokens = promptTokens
  }

  /**
   * Once; later calls do nothing. A pod's usage is what counts. Without it, an answer that came, whole or to a client
   * that left, is the prompt as estimated and the output as counted, and what was refused or failed costs nothing.
   */
  end(
    outcome: RequestEnd["outcome"],
    status: number,
    usage: Usage | undefined,
    outputTokens: number | undefined
  ): void {
    if (this.ended) return
    this.ended = true
    const served = outcome === "aborted" || (outcome === "finished" && status < 300)
    const prompt = usage?.promptTokens ?? (served ? this.chargedTokens : 0)
    const output = served || usage !== undefined ? outputTokens ?? 0 : 0
    this.holder.correct(this.chargedTokens, prompt + output, this.nowMs())
    this.holder.leave()
  }
}
