import { addRow, hasRow, removeRow, type RowMask, rowMask } from "./rowMask.ts"

/** The pods of one model. */
export interface Served {
  readonly rows: RowMask
  /** The least and the most that a request may have on one of them, prompt and output; Infinity: it is not known. */
  shortestTokens: number
  longestTokens: number
  /** The two above are from before a pod came or went. */
  stale: boolean
}

/** Which rows serve which model. Models are bounded; what is beyond is not served. */
export class ModelRows {
  private readonly byName = new Map<string, Served>()
  /** By row, those beyond the bound too, so that a larger one finds them. */
  private readonly told: Array<ReadonlyArray<string> | undefined> = []
  /** By row: the most tokens that a request may have there, prompt and output. */
  private readonly tokensMax: Float64Array
  private readonly rowsMax: number
  private modelsMax: number

  constructor(rowsMax: number, modelsMax: number) {
    this.rowsMax = rowsMax
    this.modelsMax = modelsMax
    this.tokensMax = new Float64Array(rowsMax).fill(Number.POSITIVE_INFINITY)
  }

  /** From now on; models that are served stay so beyond a smaller bound, for as long as a pod has them. */
  resize(modelsMax: number): void {
    this.modelsMax = modelsMax
    for (const [row, models] of this.told.entries()) if (models !== undefined) this.add(row, models)
  }

  /** Replaces what `row` serves, and how long a request may be there. */
  set(row: number, models: ReadonlyArray<string>, tokensMax = Number.POSITIVE_INFINITY): void {
    this.remove(row, models)
    this.told[row] = models
    this.tokensMax[row] = tokensMax
    this.add(row, models)
  }

  clear(row: number): void {
    this.remove(row, [])
    this.told[row] = undefined
    this.tokensMax[row] = Number.POSITIVE_INFINITY
  }

  /** Undefined: no pod is known to serve it. */
  servedAs(model: string): Served | undefined {
    return this.byName.get(model)
  }

  /** Some of the model's pods hold a request of so many tokens and others do not. */
  parts(served: Served, tokens: number): boolean {
    if (served.stale) this.measure(served)
    return served.shortestTokens < tokens && tokens <= served.longestTokens
  }

  holds(row: number, tokens: number): boolean {
    return (this.tokensMax[row] ?? 0) >= tokens
  }

  private measure(served: Served): void {
    served.stale = false
    served.shortestTokens = Number.POSITIVE_INFINITY
    served.longestTokens = 0
    for (let row = 0; row < this.rowsMax; row++) {
      if (!hasRow(served.rows, row)) continue
      const tokensMax = this.tokensMax[row] ?? 0
      served.shortestTokens = Math.min(served.shortestTokens, tokensMax)
      served.longestTokens = Math.max(served.longestTokens, tokensMax)
    }
  }

  private add(row: number, models: ReadonlyArray<string>): void {
    for (const model of models) {
      let served = this.byName.get(model)
      if (served === undefined) {
        if (this.byName.size >= this.modelsMax) continue
        served = { rows: rowMask(this.rowsMax), shortestTokens: 0, longestTokens: 0, stale: true }
        this.byName.set(model, served)
      }
      addRow(served.rows, row)
      served.stale = true
    }
  }

  private remove(row: number, except: ReadonlyArray<string>): void {
    for (const [model, served] of this.byName) {
      if (!hasRow(served.rows, row) || except.includes(model)) continue
      removeRow(served.rows, row)
      served.stale = true
      if (served.rows.every((word) => word === 0)) this.byName.delete(model)
    }
  }
}
