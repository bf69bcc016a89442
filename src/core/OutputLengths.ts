/** Weight of the newest answer. Knowing the true length gains nothing (DESIGN 5), so a slow average will do. */
const EWMA_WEIGHT = 0.05

/** Expected output tokens by model: an EWMA of what its answers had. Bounded: the oldest model makes room. */
export class OutputLengths {
  private readonly byModel = new Map<string, number>()
  private modelsMax: number
  private initialTokens: number

  constructor(modelsMax: number, initialTokens: number) {
    this.modelsMax = modelsMax
    this.initialTokens = initialTokens
  }

  /** From now on; what was learned stays, but for the oldest models beyond the bound. */
  replaceOptions(modelsMax: number, initialTokens: number): void {
    this.modelsMax = modelsMax
    this.initialTokens = initialTokens
    for (const model of this.byModel.keys()) {
      if (this.byModel.size <= modelsMax) return
      this.byModel.delete(model)
    }
  }

  /** Never above the client's own limit. */
  expected(model: string, outputTokensMax: number | undefined): number {
    const tokens = this.byModel.get(model) ?? this.initialTokens
    return outputTokensMax === undefined ? tokens : Math.min(tokens, outputTokensMax)
  }

  learn(model: string, outputTokens: number): void {
    const before = this.byModel.get(model)
    if (before === undefined && this.byModel.size >= this.modelsMax) {
      const oldest = this.byModel.keys().next()
      if (oldest.done !== true) this.byModel.delete(oldest.value)
    }
    this.byModel.set(model, before === undefined ? outputTokens : before + EWMA_WEIGHT * (outputTokens - before))
  }

  export(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.byModel)
  }

  /** Takes over what a snapshot remembered; entries that are no length are dropped. */
  restore(tokensByModel: Readonly<Record<string, number>>): void {
    for (const [model, tokens] of Object.entries(tokensByModel)) {
      if (this.byModel.size < this.modelsMax && Number.isFinite(tokens) && tokens >= 0) this.byModel.set(model, tokens)
    }
  }
}
