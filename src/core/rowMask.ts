/** A set of pod table rows as bits: row r is bit r % 32 of word r / 32. */
export type RowMask = Uint32Array

export const rowMask = (rowsMax: number): RowMask => new Uint32Array(Math.ceil(rowsMax / 32))

export const hasRow = (mask: RowMask, row: number): boolean => ((mask[row >>> 5] ?? 0) & (1 << (row & 31))) !== 0

export const addRow = (mask: RowMask, row: number): void => {
  mask[row >>> 5] = (mask[row >>> 5] ?? 0) | (1 << (row & 31))
}

export const removeRow = (mask: RowMask, row: number): void => {
  mask[row >>> 5] = (mask[row >>> 5] ?? 0) & ~(1 << (row & 31))
}
