import type { Histogram } from "./engine/Histogram.ts"

export type Labels = Readonly<Record<string, string>>

/**
 * Writes a metrics page as Python's prometheus_client does: labels sorted, floats always with a point,
 * a `_created` gauge beside every counter and histogram.
 */
export class Exposition {
  private readonly lines: Array<string> = []
  private readonly createdS: number

  constructor(createdS: number) {
    this.createdS = createdS
  }

  gauge(name: string, help: string, series: ReadonlyArray<readonly [Labels, number]>): void {
    this.head(name, help, "gauge")
    for (const [labels, value] of series) this.sample(name, labels, value)
  }

  /** `name` without `_total`. */
  counter(name: string, help: string, series: ReadonlyArray<readonly [Labels, number]>): void {
    this.head(`${name}_total`, help, "counter")
    for (const [labels, value] of series) this.sample(`${name}_total`, labels, value)
    this.created(name, help, series.map(([labels]) => labels))
  }

  histogram(name: string, help: string, labels: Labels, histogram: Histogram): void {
    this.head(name, help, "histogram")
    let below = 0
    for (const [index, bound] of histogram.bounds.entries()) {
      below += histogram.counts[index]!
      this.sample(`${name}_bucket`, { ...labels, le: metricNumber(bound) }, below)
    }
    this.sample(`${name}_bucket`, { ...labels, le: "+Inf" }, histogram.count)
    this.sample(`${name}_count`, labels, histogram.count)
    this.sample(`${name}_sum`, labels, histogram.sum)
    this.created(name, help, [labels])
  }

  toText(): string {
    return `${this.lines.join("\n")}\n`
  }

  private head(name: string, help: string, type: string): void {
    this.lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
  }

  private created(name: string, help: string, series: ReadonlyArray<Labels>): void {
    this.head(`${name}_created`, help, "gauge")
    for (const labels of series) this.sample(`${name}_created`, labels, this.createdS)
  }

  private sample(name: string, labels: Labels, value: number): void {
    const names = Object.keys(labels).sort()
    const inner = names.map((label) => `${label}="${escapeLabel(labels[label]!)}"`).join(",")
    this.lines.push(`${name}${inner === "" ? "" : `{${inner}}`} ${metricNumber(value)}`)
  }
}

const escapeLabel = (value: string): string =>
  value.replaceAll("\\", "\\\\").replaceAll("\"", "\\\"").replaceAll("\n", "\\n")

/** Python's float as text, in the client library's Go-like spelling from a million on. */
const metricNumber = (value: number): string => {
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : value < 0 ? "-Inf" : "NaN"
  const text = String(value)
  const point = text.includes(".") ? text.indexOf(".") : text.length
  if (!text.includes("e") && point > 6) {
    const digits = text.replace(".", "").replace(/0+$/, "")
    return `${digits[0]}.${digits.slice(1) || "0"}e+${String(point - 1).padStart(2, "0")}`
  }
  return Number.isInteger(value) && !text.includes("e") ? `${text}.0` : text
}
