import { addRow, removeRow, type RowMask, rowMask } from "./rowMask.ts"

/** Which rows serve which model. Models are bounded; what is beyond is not served. */
export class ModelRows {
  private readonly masks = new Map<string, RowMask>()
  private readonly rowsMax: number
  private readonly modelsMax: number

  constructor(rowsMax: number, modelsMax: number) {
    this.rowsMax = rowsMax
    this.modelsMax = modelsMax
  }

  /** Replaces what `row` serves. */
  set(row: number, models: ReadonlyArray<string>): void {
    this.clear(row)
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

  clear(row: number): void {
    for (const [model, mask] of this.masks) {
      removeRow(mask, row)
      if (mask.every((word) => word === 0)) this.masks.delete(model)
    }
  }

  maskOf(model: string): RowMask | undefined {
    return this.masks.get(model)
  }
}
