/** Coefficients that are nowhere negative, and the sum of squared residuals that they leave. */
export interface LeastSquares {
  readonly coefficients: ReadonlyArray<number>
  readonly squares: number
}

type Matrix = ReadonlyArray<ReadonlyArray<number>>

/** Below this share of a column's own length it is a mix of the others, and its coefficient means nothing. */
const INDEPENDENT_LEAST = 1e-9

/**
 * Least squares of `rows · coefficients ≈ targets` with coefficients >= 0, for the handful of columns of a calibration:
 * the best solution with some coefficients at zero is the plain solution over the others, so every subset is tried.
 * Rows come weighted. A column that the rows can't tell from others stays zero.
 */
export const nonNegativeLeastSquares = (rows: Matrix, targets: ReadonlyArray<number>): LeastSquares => {
  const columns = rows[0]?.length ?? 0
  const nothing = Array.from({ length: columns }, () => 0)
  let best: LeastSquares = { coefficients: nothing, squares: squaresOf(rows, targets, nothing) }
  for (let subset = 1; subset < 1 << columns; subset++) {
    const used = nothing.flatMap((_, column) => (subset >> column) & 1 ? [column] : [])
    const solved = solveColumns(rows, targets, used)
    if (solved === undefined || solved.some((value) => value < 0)) continue
    const coefficients = nothing.map((_, column) => solved[used.indexOf(column)] ?? 0)
    const squares = squaresOf(rows, targets, coefficients)
    if (squares < best.squares) best = { coefficients, squares }
  }
  return best
}

const squaresOf = (rows: Matrix, targets: ReadonlyArray<number>, coefficients: ReadonlyArray<number>): number =>
  rows.reduce((sum, row, index) => {
    const fitted = row.reduce((total, value, column) => total + value * (coefficients[column] ?? 0), 0)
    return sum + ((targets[index] ?? 0) - fitted) ** 2
  }, 0)

const dot = (left: ReadonlyArray<number>, right: ReadonlyArray<number>): number =>
  left.reduce((sum, value, index) => sum + value * (right[index] ?? 0), 0)

/** Plain least squares over the named columns by Gram-Schmidt; undefined when they depend on one another. */
const solveColumns = (
  rows: Matrix,
  targets: ReadonlyArray<number>,
  used: ReadonlyArray<number>
): ReadonlyArray<number> | undefined => {
  const directions: Array<ReadonlyArray<number>> = []
  const upper: Array<Array<number>> = []
  for (const column of used) {
    let rest: ReadonlyArray<number> = rows.map((row) => row[column] ?? 0)
    const length = Math.sqrt(dot(rest, rest))
    const shares: Array<number> = []
    for (const direction of directions) {
      const share = dot(direction, rest)
      shares.push(share)
      rest = rest.map((value, index) => value - share * (direction[index] ?? 0))
    }
    const left = Math.sqrt(dot(rest, rest))
    if (!(left > length * INDEPENDENT_LEAST)) return undefined
    upper.push([...shares, left])
    directions.push(rest.map((value) => value / left))
  }
  const solved = directions.map((direction) => dot(direction, targets))
  for (let column = used.length - 1; column >= 0; column--) {
    solved[column] = (solved[column] ?? 0) / (upper[column]?.[column] ?? 1)
    for (let above = 0; above < column; above++) {
      solved[above] = (solved[above] ?? 0) - (upper[column]?.[above] ?? 0) * (solved[column] ?? 0)
    }
  }
  return solved
}
