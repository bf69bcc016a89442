/** A line of a chart. */
export interface Series {
  readonly name: string
  /** x and y, ascending in x. */
  readonly points: ReadonlyArray<readonly [number, number]>
}

export interface TextPlot {
  readonly title: string
  readonly xLabel: string
  readonly series: ReadonlyArray<Series>
  /** From 0 to here; labels come from `showY`. */
  readonly yMax: number
  readonly showY: (y: number) => string
  /** A level drawn across. */
  readonly level: number
}

const WIDTH_CHARS = 64
const HEIGHT_LINES = 13
/** One a series, and again from the first when there are more. */
const MARKS = "*o+x#@%&"
const SEVERAL = "="

/** Series over x as lines of characters, with axes and a legend; plain ASCII but for what the caller's labels bring. */
export const textPlot = ({ level, series, showY, title, xLabel, yMax }: TextPlot): string => {
  const xs = series.flatMap(({ points }) => points.map(([x]) => x))
  const [xMin, xMax] = [Math.min(...xs), Math.max(...xs)]
  const columnOf = (x: number): number => xMax === xMin ? 0 : Math.round((x - xMin) / (xMax - xMin) * (WIDTH_CHARS - 1))
  const rowOf = (y: number): number => Math.round((1 - Math.min(1, Math.max(0, y / yMax))) * (HEIGHT_LINES - 1))
  const levelRow = rowOf(level)
  const grid = Array.from(
    { length: HEIGHT_LINES },
    (_, row) => Array.from({ length: WIDTH_CHARS }, (): string => row === levelRow ? "." : " ")
  )
  series.forEach(({ points }, index) => {
    const mark = markOf(index)
    for (let column = 0; column < WIDTH_CHARS; column++) {
      const x = xMax === xMin ? xMin : xMin + column / (WIDTH_CHARS - 1) * (xMax - xMin)
      const y = between(points, x)
      const row = y === undefined ? undefined : grid[rowOf(y)]
      if (row !== undefined) row[column] = row[column] === " " || row[column] === "." ? mark : SEVERAL
    }
  })
  const labels = grid.map((_, row) => row % 3 === 0 ? showY(yMax * (1 - row / (HEIGHT_LINES - 1))) : "")
  const margin = Math.max(...labels.map((label) => label.length))
  return [
    title,
    ...grid.map((row, index) => `${labels[index]!.padStart(margin)} |${row.join("").trimEnd()}`),
    `${" ".repeat(margin)} +${"-".repeat(WIDTH_CHARS)}`,
    `${" ".repeat(margin + 2)}${xTicks(xMin, xMax, columnOf)}  ${xLabel}`,
    ...series.map(({ name }, index) => `${" ".repeat(margin + 2)}${markOf(index)} ${name}`),
    `${" ".repeat(margin + 2)}${series.length > 1 ? `${SEVERAL} several of them, ` : ""}. ${showY(level)}`
  ].join("\n")
}

const markOf = (index: number): string => MARKS[index % MARKS.length]!

/** The line between the two points around x; undefined outside of all points. */
const between = (points: Series["points"], x: number): number | undefined => {
  const next = points.findIndex(([each]) => each >= x - 1e-9)
  const right = points[next]
  if (right === undefined) return undefined
  const left = points[next - 1]
  if (left === undefined) return Math.abs(right[0] - x) < 1e-6 ? right[1] : undefined
  return left[1] + (right[1] - left[1]) * (x - left[0]) / (right[0] - left[0])
}

/** Whole numbers under the axis, as many as fit. */
const xTicks = (xMin: number, xMax: number, columnOf: (x: number) => number): string => {
  const step = [1, 2, 5, 10, 20, 50, 100, 200].find((each) => (xMax - xMin) / each <= 10) ?? 500
  const row = Array.from({ length: WIDTH_CHARS }, () => " ")
  const ticks = [xMin]
  for (let x = Math.ceil((xMin + 0.5) / step) * step; x <= xMax; x += step) ticks.push(x)
  let free = 0
  for (const x of ticks) {
    const text = `${x}`
    const start = Math.min(WIDTH_CHARS - text.length, columnOf(x))
    if (start < free) continue
    row.splice(start, text.length, ...text)
    free = start + text.length + 1
  }
  return row.join("")
}
