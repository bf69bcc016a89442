import { addRow, hasRow, removeRow, type RowMask, rowMask } from "./rowMask.ts"

/** Which rows serve which model. Models are bounded; what is beyond is not served. */
export class ModelRows {
  private readonly masks = new Map<string, RowMask>()
  /** By row, those beyond the bound too, so that a larger one finds them. */
  private readonly told: Array<ReadonlyArray<string> | undefined> = []
  private readonly rowsMax: number
  private modelsMax: number

  constructor(rowsMax: number, modelsMax: number) {
    this.rowsMax = rowsMax
    this.modelsMax = modelsMax
  }

  /** From now on; models that are served stay so beyond a smaller bound, for as long as a pod has them. */
  resize(modelsMax: number): void {
    this.modelsMax = modelsMax
    for (const [row, models] of this.told.entries()) if (models !== undefined) this.add(row, models)
  }

  /** Replaces what `row` serves. */
  set(row: number, models: ReadonlyArray<string>): void {
    this.remove(row, models)
    this.told[row] = models
    this.add(row, models)
  }

  clear(row: number): void {
    this.remove(row, [])
    this.told[row] = undefined
  }

  maskOf(model: string): RowMask | undefined {
    return this.masks.get(model)
  }

  private add(row: number, models: ReadonlyArray<string>): void {
    for (const model of models) {
      let mask = this.masks.get(model)
      if (mask === undefined) {
        if (this.masks.size >= this.modelsMax) continue
        mask = rowMask(this.rowsMax)
        this.masks.set(model, mask)
      }
      addRow(mask, row)
    }
  }

  private remove(row: number, except: ReadonlyArray<string>): void {
    for (const [model, mask] of this.masks) {
      if (!hasRow(mask, row) || except.includes(model)) continue
      removeRow(mask, row)
      if (mask.every((word) => word === 0)) this.masks.delete(model)
    }
  }
}
