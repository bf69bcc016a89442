import { Counter, Gauge, Histogram } from "./instruments.ts"

/** The series of one metric name. A child is resolved once and kept by whoever counts on it. */
export interface Family<Child> {
  /** One value for each label name, in order. Beyond the limit of series every new one shares a series `other`. */
  readonly child: (...labelValues: ReadonlyArray<string>) => Child
}

/** What is read only when the page is written: `emit` takes the label values in order and the number. */
export type Collect = (emit: (labelValues: ReadonlyArray<string>, value: number) => void) => void

interface Section {
  readonly name: string
  readonly help: string
  readonly type: "counter" | "gauge" | "histogram"
  /** Appends the samples. */
  readonly write: (lines: Array<string>) => void
}

const namePattern = /^[a-zA-Z_][a-zA-Z0-9_]*$/
const labelValueCharsMax = 200

const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\"": "\\\"" }

const escapeValue = (value: string): string =>
  value.slice(0, labelValueCharsMax).replace(/[\\\n"]/g, (character) => escapes[character] ?? "")

const numberText = (value: number): string => {
  if (Number.isNaN(value)) return "NaN"
  if (Number.isFinite(value)) return String(value)
  return value > 0 ? "+Inf" : "-Inf"
}

/** `a="1",b="2"` */
const labelText = (names: ReadonlyArray<string>, values: ReadonlyArray<string>): string =>
  names.map((name, index) => `${name}="${escapeValue(values[index] ?? "")}"`).join(",")

const sampleLine = (name: string, labels: string, value: number): string =>
  labels === "" ? `${name} ${numberText(value)}` : `${name}{${labels}} ${numberText(value)}`

const writeHistogram = (lines: Array<string>, name: string, labels: string, histogram: Histogram): void => {
  const before = labels === "" ? "" : `${labels},`
  let total = 0
  for (const [index, bound] of [...histogram.bounds, Number.POSITIVE_INFINITY].entries()) {
    total += histogram.counts[index] ?? 0
    lines.push(sampleLine(`${name}_bucket`, `${before}le="${numberText(bound)}"`, total))
  }
  lines.push(sampleLine(`${name}_sum`, labels, histogram.sum), sampleLine(`${name}_count`, labels, total))
}

/**
 * The metrics of one gateway and their page in the Prometheus text format.
 * Not effect/Metric: that registry is one for the whole process, never forgets a series and resolves labels through
 * hash maps, while a gateway has its own numbers, bounds its series and adds to plain fields.
 */
export class MetricRegistry {
  private seriesMax: number
  private readonly sections = new Map<string, Section>()

  /** `seriesMax` is per metric name. */
  constructor(seriesMax: number) {
    this.seriesMax = seriesMax
  }

  counter(name: string, help: string, labelNames: ReadonlyArray<string> = []): Family<Counter> {
    const write = (lines: Array<string>, labels: string, counter: Counter): void =>
      void lines.push(sampleLine(name, labels, counter.value))
    return this.family(name, help, "counter", labelNames, () => new Counter(), write)
  }

  gauge(name: string, help: string, labelNames: ReadonlyArray<string> = []): Family<Gauge> {
    const write = (lines: Array<string>, labels: string, gauge: Gauge): void =>
      void lines.push(sampleLine(name, labels, gauge.value))
    return this.family(name, help, "gauge", labelNames, () => new Gauge(), write)
  }

  /** `bounds` ascend. */
  histogram(
    name: string,
    help: string,
    bounds: ReadonlyArray<number>,
    labelNames: ReadonlyArray<string> = []
  ): Family<Histogram> {
    const write = (lines: Array<string>, labels: string, histogram: Histogram): void =>
      writeHistogram(lines, name, labels, histogram)
    return this.family(name, help, "histogram", labelNames, () => new Histogram(bounds), write)
  }

  /** Numbers that live elsewhere and are read when the page is written. */
  collected(
    name: string,
    help: string,
    type: "counter" | "gauge",
    labelNames: ReadonlyArray<string>,
    collect: Collect
  ): void {
    const write = (lines: Array<string>): void => {
      let left = this.seriesMax
      collect((labelValues, value) => {
        if (left-- > 0) lines.push(sampleLine(name, labelText(labelNames, labelValues), value))
      })
    }
    this.add({ name, help, type, write }, labelNames)
  }

  /** From now on; series that are there stay. */
  resize(seriesMax: number): void {
    this.seriesMax = seriesMax
  }

  /** The page; metrics in the order they were registered. */
  render(): string {
    const lines: Array<string> = []
    for (const { help, name, type, write } of this.sections.values()) {
      lines.push(`# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`, `# TYPE ${name} ${type}`)
      write(lines)
    }
    lines.push("")
    return lines.join("\n")
  }

  private family<Child>(
    name: string,
    help: string,
    type: Section["type"],
    labelNames: ReadonlyArray<string>,
    make: () => Child,
    writeChild: (lines: Array<string>, labels: string, child: Child) => void
  ): Family<Child> {
    const series = new Map<string, Child>()
    const write = (lines: Array<string>): void => {
      for (const [labels, child] of series) writeChild(lines, labels, child)
    }
    this.add({ name, help, type, write }, labelNames)
    const resolve = (labels: string): Child => {
      let child = series.get(labels)
      if (child === undefined) {
        child = make()
        series.set(labels, child)
      }
      return child
    }
    return {
      child: (...labelValues) => {
        const labels = labelText(labelNames, labelValues)
        const isFull = series.size >= this.seriesMax && !series.has(labels)
        return resolve(isFull ? labelText(labelNames, labelNames.map(() => "other")) : labels)
      }
    }
  }

  private add(section: Section, labelNames: ReadonlyArray<string>): void {
    for (const name of [section.name, ...labelNames]) {
      if (!namePattern.test(name)) throw new Error(`"${name}" is no name of a metric or label`)
    }
    if (this.sections.has(section.name)) throw new Error(`the metric ${section.name} exists already`)
    this.sections.set(section.name, section)
  }
}
