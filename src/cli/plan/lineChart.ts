import type { Series } from "./textPlot.ts"

export interface LineChart {
  /** What the chart shows, for those who can't see it. */
  readonly description: string
  readonly xLabel: string
  readonly yLabel: string
  readonly series: ReadonlyArray<Series>
  readonly yScale: "linear" | "log"
  /** Upper end of a linear scale; undefined: a little above the largest value. */
  readonly yMax: number | undefined
  readonly showY: (y: number) => string
  /** A level drawn across, with its label. */
  readonly level: { readonly y: number; readonly label: string } | undefined
}

const WIDTH = 640
const HEIGHT = 340
const LEFT = 78
const RIGHT = 18
const TOP = 18
const BOTTOM = 52
/** The least that a logarithmic scale shows of a value. */
const LOG_LEAST = 1e-3
const X_TICKS_MAX = 12
const Y_TICKS_MAX = 6

type Scale = (value: number) => number

/** A chart as inline SVG; colours come from the page's classes `s0`, `s1` ... */
export const lineChart = (chart: LineChart): string => {
  const xs = chart.series.flatMap(({ points }) => points.map(([x]) => x))
  const ys = chart.series.flatMap(({ points }) => points.map(([, y]) => y))
  if (chart.level !== undefined) ys.push(chart.level.y)
  const [xMin, xMax] = [Math.min(...xs), Math.max(...xs)]
  const x: Scale = (value) => LEFT + (xMax === xMin ? 0.5 : (value - xMin) / (xMax - xMin)) * (WIDTH - LEFT - RIGHT)
  const { ticks, y } = chart.yScale === "log" ? logAxis(ys) : linearAxis(ys, chart.yMax)
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeText(chart.description)}">`,
    ...ticks.map((tick) =>
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${short(y(tick))}" y2="${short(y(tick))}"/>` +
      `<text class="tick" x="${LEFT - 8}" y="${short(y(tick) + 4)}" text-anchor="end">${
        escapeText(chart.showY(tick))
      }</text>`
    ),
    ...xTicks(xMin, xMax).map((tick) =>
      `<text class="tick" x="${short(x(tick))}" y="${HEIGHT - BOTTOM + 20}" text-anchor="middle">${tick}</text>`
    ),
    `<line class="axis" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${HEIGHT - BOTTOM}" y2="${HEIGHT - BOTTOM}"/>`,
    `<text class="label" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">${
      escapeText(chart.xLabel)
    }</text>`,
    `<text class="label" transform="translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${
      escapeText(chart.yLabel)
    }</text>`,
    ...levelLine(chart, y),
    ...chart.series.map((series, index) => seriesMarks(series, index, x, y, chart.showY)),
    "</svg>"
  ].join("\n")
}

/** Text as it may stand in an element or an attribute. */
export const escapeText = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")

const MARK_RADIUS = 4

/** A series' mark, so that colour is not all that tells them apart. */
export const markShape = (index: number, x: number, y: number): string => {
  const r = MARK_RADIUS
  const [left, right, up, down] = [short(x - r), short(x + r), short(y - r), short(y + r)]
  const [middle, level] = [short(x), short(y)]
  switch (index % 4) {
    case 0:
      return `<circle cx="${middle}" cy="${level}" r="${r}"/>`
    case 1:
      return `<rect x="${left}" y="${up}" width="${2 * r}" height="${2 * r}"/>`
    case 2:
      return `<path d="M${middle} ${short(y - r - 1)}L${right} ${down}L${left} ${down}Z"/>`
    default:
      return `<path d="M${middle} ${short(y - r - 1)}L${short(x + r + 1)} ${level}L${middle} ${short(y + r + 1)}L${
        short(x - r - 1)
      } ${level}Z"/>`
  }
}

const seriesMarks = (
  { name, points }: Series,
  index: number,
  x: Scale,
  y: Scale,
  showY: (y: number) => string
): string => {
  const line = points.map(([px, py]) => `${short(x(px))},${short(y(py))}`).join(" ")
  const marks = points.map(([px, py]) =>
    `<g><title>${escapeText(`${name}, ${px} pods: ${showY(py)}`)}</title>${markShape(index, x(px), y(py))}</g>`
  )
  return `<g class="series s${index % SERIES_COLOURS}"><polyline points="${line}"/>${marks.join("")}</g>`
}

/** Colours that the page has; the marks go on where they end. */
export const SERIES_COLOURS = 6

const levelLine = ({ level }: LineChart, y: Scale): ReadonlyArray<string> => {
  if (level === undefined) return []
  const at = y(level.y)
  const below = at < TOP + 16
  return [
    `<line class="level" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${short(at)}" y2="${short(at)}"/>`,
    `<text class="level" x="${WIDTH - RIGHT}" y="${short(below ? at + 16 : at - 6)}" text-anchor="end">${
      escapeText(level.label)
    }</text>`
  ]
}

interface Axis {
  readonly y: Scale
  readonly ticks: ReadonlyArray<number>
}

const pixel = (share: number): number => TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)

const linearAxis = (ys: ReadonlyArray<number>, yMax: number | undefined): Axis => {
  const most = yMax ?? (Math.max(...ys) * 1.05 || 1)
  const step = niceStep(most / Y_TICKS_MAX)
  const ticks = Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, index) => index * step)
  return { y: (value) => pixel(Math.min(1, Math.max(0, value / most))), ticks }
}

const logAxis = (ys: ReadonlyArray<number>): Axis => {
  const positive = ys.map((value) => Math.max(LOG_LEAST, value))
  const from = Math.floor(Math.log10(Math.min(...positive)))
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...positive))))
  const ticks = Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index))
  return { y: (value) => pixel((Math.log10(Math.max(LOG_LEAST, value)) - from) / (to - from)), ticks }
}

/** 1, 2 or 5 times a power of ten, not less than asked for. */
const niceStep = (least: number): number => {
  const power = 10 ** Math.floor(Math.log10(least))
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least - 1e-12) ?? least
}

const xTicks = (xMin: number, xMax: number): ReadonlyArray<number> => {
  const step = Math.max(1, niceStep((xMax - xMin) / X_TICKS_MAX || 1))
  const ticks = [xMin]
  for (let x = Math.floor(xMin / step + 1) * step; x <= xMax; x += step) if (x - xMin >= step / 2) ticks.push(x)
  return ticks
}

const short = (value: number): string => `${Math.round(value * 10) / 10}`
