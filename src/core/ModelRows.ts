/** Which rows serve which model, as bitmasks over the pod table. Models are bounded; one more is refused. */
export class ModelRows {
  readonly words: number
  private readonly masks = new Map<string, Uint32Array>()
  private readonly modelsMax: number

  constructor(rowsMax: number, modelsMax: number) {
    this.words = Math.ceil(rowsMax / 32)
    this.modelsMax = modelsMax
  }

  /** Replaces what `row` serves. Returns the models that did not fit. */
  set(row: number, models: ReadonlyArray<string>): ReadonlyArray<string> {
    this.clear(row)
    const refused: Array<string> = []
    for (const model of models) {
      let mask = this.masks.get(model)
      if (mask === undefined) {
        if (this.masks.size >= this.modelsMax) {
          refused.push(model)
          continue
        }
        mask = new Uint32Array(this.words)
        this.masks.set(model, mask)
      }
      mask[row >>> 5] = (mask[row >>> 5] ?? 0) | (1 << (row & 31))
    }
    return refused
  }

  clear(row: number): void {
    for (const [model, mask] of this.masks) {
      mask[row >>> 5] = (mask[row >>> 5] ?? 0) & ~(1 << (row & 31))
      if (mask.every((word) => word === 0)) this.masks.delete(model)
    }
  }

  maskOf(model: string): Uint32Array | undefined {
    return this.masks.get(model)
  }

  get size(): number {
    return this.masks.size
  }
}
