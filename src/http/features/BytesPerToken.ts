/** Weight of a new prompt against all earlier ones. */
const newShare = 0.05
const ratioMin = 1
const ratioMax = 16
/** What English text and code give with usual vocabularies. */
const ratioStart = 4
/** The start value counts as one prompt of this length. */
const startTokens = 1_000

interface Average {
  bytes: number
  tokens: number
}

/** How many bytes of canonical prompt text make a token, learned for each model from what pods report. */
export class BytesPerToken {
  private readonly averages = new Map<string, Average>()
  private modelsMax: number

  constructor(modelsMax: number) {
    this.modelsMax = modelsMax
  }

  /** From now on; what was learned stays, but for the oldest models beyond the bound. */
  resize(modelsMax: number): void {
    this.modelsMax = modelsMax
    for (const model of this.averages.keys()) {
      if (this.averages.size <= modelsMax) return
      this.averages.delete(model)
    }
  }

  /** In [1, 16]. */
  of(model: string): number {
    const average = this.averages.get(model)
    if (average === undefined) return ratioStart
    return Math.min(ratioMax, Math.max(ratioMin, average.bytes / average.tokens))
  }

  /** A pod counted `tokens` in a prompt of `bytes`. Long prompts weigh more: a template's fixed part blurs short ones. */
  learn(model: string, bytes: number, tokens: number): void {
    if (bytes <= 0 || tokens <= 0) return
    let average = this.averages.get(model)
    if (average === undefined) {
      const oldest = this.averages.size >= this.modelsMax ? this.averages.keys().next().value : undefined
      if (oldest !== undefined) this.averages.delete(oldest)
      average = { bytes: ratioStart * startTokens, tokens: startTokens }
      this.averages.set(model, average)
    }
    average.bytes += newShare * (bytes - average.bytes)
    average.tokens += newShare * (tokens - average.tokens)
  }
}
