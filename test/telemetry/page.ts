import { forEachSample } from "../../src/vllm/expositionText.ts"

const namePart = "[a-zA-Z_][a-zA-Z0-9_]*"
const labelPart = `${namePart}="(?:[^"\\\\\\n]|\\\\["\\\\n])*"`
const sampleLine = new RegExp(
  `^(${namePart})(?:\\{(${labelPart}(?:,${labelPart})*)\\})? (NaN|[+-]Inf|-?[0-9.]+(?:e[+-]?[0-9]+)?)$`
)

const familyOf = (name: string, types: ReadonlyMap<string, string>): string => {
  const base = name.replace(/_(bucket|sum|count)$/, "")
  return types.get(base) === "histogram" ? base : name
}

/**
 * Every breach of the text format: a line of no known form, a sample outside its family, a family or series that
 * comes twice, a counter without `_total`, a histogram that falls or has no +Inf.
 */
export const breachesOf = (page: string): ReadonlyArray<string> => {
  const breaches: Array<string> = []
  if (!page.endsWith("\n")) breaches.push("no newline at the end")
  const types = new Map<string, string>()
  const series = new Set<string>()
  const buckets = new Map<string, ReadonlyArray<number>>()
  /** Histograms with their last bucket. */
  const unbounded = new Set<string>()
  let family = ""
  for (const line of page.split("\n").slice(0, -1)) {
    const comment = /^# (HELP|TYPE) ([^ ]+) (.+)$/.exec(line)
    if (comment !== null) {
      const [, kind, name = "", rest = ""] = comment
      if (kind === "HELP" && types.has(name)) breaches.push(`${name} comes twice`)
      if (kind === "TYPE") types.set(name, rest)
      if (kind === "TYPE" && rest === "counter" && !name.endsWith("_total")) breaches.push(`${name} lacks _total`)
      family = name
      continue
    }
    const sample = sampleLine.exec(line)
    if (sample === null) {
      breaches.push(`not a sample: ${line}`)
      continue
    }
    const [, name = "", labels = "", value = ""] = sample
    if (familyOf(name, types) !== family) breaches.push(`${name} stands below ${family}`)
    if (series.has(`${name}{${labels}}`)) breaches.push(`${name}{${labels}} comes twice`)
    series.add(`${name}{${labels}}`)
    if (!name.endsWith("_bucket")) continue
    const key = name + labels.replace(/,?le="[^"]*"/, "")
    const counts = [...buckets.get(key) ?? [], Number(value)]
    if ((counts.at(-1) ?? 0) < (counts.at(-2) ?? 0)) breaches.push(`${line} falls`)
    buckets.set(key, counts)
    if (labels.includes("le=\"+Inf\"")) unbounded.add(key)
  }
  for (const key of buckets.keys()) {
    if (!unbounded.has(key)) breaches.push(`${key} has no +Inf`)
  }
  return breaches
}

/** The value of a series as our own reader of metrics pages sees it; undefined when it is not there. */
export const valueOf = (
  page: string,
  name: string,
  labels: Readonly<Record<string, string>> = {}
): number | undefined => {
  let found: number | undefined
  forEachSample(page, new Set([name]), { lineCharsMax: 10_000, samplesMax: 100_000 }, (sample) => {
    if (Object.entries(labels).every(([label, value]) => sample.labels.get(label) === value)) found = sample.value
  })
  return found
}
