/** A column of numbers in the gateway's answer. */
interface Column {
  readonly key: string
  readonly title: string
  readonly unit: string
  readonly weight?: number
}

interface ExplainedPod {
  readonly id: string
  readonly excluded: string | null
  readonly hitTokens: number
  readonly uncachedTokens: number
  readonly prefilling: number
  readonly decoding: number
  /** Of an older gateway: neither. */
  readonly pickShare?: number
  readonly stalled?: boolean
  readonly values: Readonly<Record<string, number>>
}

/** What `POST /warmroute/explain` answers. */
export interface Explained {
  readonly policy: string
  readonly model: string
  readonly promptTokens: number
  readonly expectedOutputTokens: number
  readonly picked: string | null
  readonly predictedTtftS: number | null
  /** Why it would wait at the gateway first. */
  readonly waits?: string | null
  readonly why: string
  readonly columns: ReadonlyArray<Column>
  readonly pods: ReadonlyArray<ExplainedPod>
}

/** Enough of a look to print it: another server's JSON has neither. */
export const isExplained = (answer: unknown): answer is Explained =>
  typeof answer === "object" && answer !== null && "why" in answer && "columns" in answer && "pods" in answer

/** The answer for people: a sentence or two, then a row for each pod, the cheapest first where costs are known. */
export const explanationText = (explained: Explained): string => {
  const { columns, expectedOutputTokens, model, picked, pods, policy, predictedTtftS, promptTokens, why } = explained
  const last = columns.at(-1)
  const rank = (pod: ExplainedPod): number => {
    const value = last === undefined ? undefined : pod.values[last.key]
    return value === undefined ? Number.POSITIVE_INFINITY : last?.unit === "s" ? value : -value
  }
  const rows = [...pods].sort((a, b) => byNumber(rank(a), rank(b)) || (a.id < b.id ? -1 : 1))
  const candidates = rows.filter((pod) => pod.excluded === null)
  const excluded = rows.filter((pod) => pod.excluded !== null)
  return [
    `policy  ${policy}`,
    `model   ${model === "" ? "any" : model}, ${whole(promptTokens)} prompt tokens, ${
      whole(expectedOutputTokens)
    } output tokens expected`,
    picked === null ? `pick    none: ${why}` : `pick    ${picked}: ${why}`,
    ...(explained.waits == null ? [] : [`waits   ${explained.waits}`]),
    ...(predictedTtftS === null ? [] : [`TTFT    ${seconds(predictedTtftS)} predicted`]),
    ...(candidates.length === 0 ? [] : ["", ...table(candidates, columns, picked)]),
    ...heldBackLines(candidates),
    ...(excluded.length === 0 ? [] : ["", "not considered", ...reasonLines(excluded)])
  ].join("\n")
}

const byNumber = (a: number, b: number): number => a === b ? 0 : a - b

const reasonLines = (pods: ReadonlyArray<ExplainedPod>): ReadonlyArray<string> => {
  const width = Math.max(...pods.map(({ id }) => id.length))
  return pods.map(({ excluded, id }) => `  ${id.padEnd(width)}  ${excluded}`)
}

/** Pods that get fewer requests than their cost says. */
const heldBackLines = (pods: ReadonlyArray<ExplainedPod>): ReadonlyArray<string> => {
  const lines = pods.flatMap(({ id, pickShare = 1, stalled = false }) => [
    ...(pickShare < 1
      ? [`  ${id} is in slow start: a candidate for ${Math.round(pickShare * 100)} % of the picks`]
      : []),
    ...(stalled ? [`  ${id} gives no first token: passed over while there are others`] : [])
  ])
  return lines.length === 0 ? [] : ["", "held back", ...lines]
}

const table = (
  pods: ReadonlyArray<ExplainedPod>,
  columns: ReadonlyArray<Column>,
  picked: string | null
): ReadonlyArray<string> => {
  const head = ["pod", "hit tokens", "uncached", "prefilling", "decoding", ...columns.map(titleOf)]
  const cells = pods.map((pod) => [
    `${pod.id === picked ? "> " : "  "}${pod.id}`,
    whole(pod.hitTokens),
    whole(pod.uncachedTokens),
    whole(pod.prefilling),
    whole(pod.decoding),
    ...columns.map(({ key, unit }) => cell(pod.values[key], unit))
  ])
  const rows = [[`  ${head[0] ?? ""}`, ...head.slice(1)], ...cells]
  const widths = head.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  return rows.map((row) =>
    row.map((text, at) => at === 0 ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0)).join("  ")
  )
}

const titleOf = ({ title, weight }: Column): string => weight === undefined ? title : `${weight} x ${title}`

const cell = (value: number | undefined, unit: string): string => {
  if (value === undefined) return "-"
  if (unit === "s") return seconds(value)
  return unit === "x" ? `x${value.toFixed(2)}` : `${Number(value.toFixed(3))}`
}

const whole = (value: number): string => `${Math.round(value)}`

const seconds = (value: number): string => value < 1 ? `${(value * 1000).toFixed(1)} ms` : `${value.toFixed(3)} s`
