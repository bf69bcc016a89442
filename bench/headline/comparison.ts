import type { Published } from "./stages.ts"
import type { StageResult } from "./StageResult.ts"

/** How far the live run may be from the simulator's word before it has to be explained. */
const TOLERANCE = 0.15

/** One policy in one stage: what was measured, what the simulator said, and how far apart they are. */
export interface Comparison {
  readonly ratePerS: number
  readonly policy: string
  readonly live: StageResult
  readonly simulated: StageResult
  readonly published: Published | undefined
  /** Live over simulated, less one. */
  readonly differs: {
    readonly ttftMean: number
    readonly ttftP50: number
    readonly ttftP90: number
    readonly outputTokensPerSecond: number
  }
  readonly agrees: boolean
  /** Of both cores, by everything that ran while the stage did. */
  readonly cpuShare: number
  readonly failed: number
  /** Why it does not agree, as far as the numbers say. */
  readonly explanation: string | undefined
}

export interface ComparedStage {
  readonly ratePerS: number
  readonly policy: string
  readonly published: Published | undefined
  readonly live: StageResult
  readonly simulated: StageResult
  readonly cpuShare: number
  readonly failed: number
  readonly speed: number
}

export const compare = ({ speed, ...stage }: ComparedStage): Comparison => {
  const { live, simulated } = stage
  const differs = {
    ttftMean: live.ttftMean / simulated.ttftMean - 1,
    ttftP50: live.ttftP50 / simulated.ttftP50 - 1,
    ttftP90: live.ttftP90 / simulated.ttftP90 - 1,
    outputTokensPerSecond: live.outputTokensPerSecond / simulated.outputTokensPerSecond - 1
  }
  const agrees = Object.values(differs).every((difference) => Math.abs(difference) <= TOLERANCE)
  return { ...stage, differs, agrees, explanation: agrees ? undefined : explanationOf(stage, speed) }
}

/** From here on processes wait for a core, which no simulated gateway does. */
const BUSY_SHARE = 0.8

const explanationOf = (
  { cpuShare, failed, live, simulated }: Omit<ComparedStage, "speed">,
  speed: number
): string => {
  if (failed > 0) return `${failed} requests failed and are missing in what was measured`
  const busy = cpuShare > BUSY_SHARE ? `the cores were ${percent(cpuShare)} busy, so run it on a quiet machine; ` : ""
  const hits = `hits ${percent(live.hitRatio)} live, ${percent(simulated.hitRatio)} simulated`
  const lateMs = (live.ttftP50 - simulated.ttftP50) / speed * 1000
  return live.ttftP90 < 1
    ? `${busy}the median is ${
      lateMs.toFixed(1)
    } ms of real time off, which the bench shows ${speed} times as long: time ` +
      `on the machine's cores beyond the path of an idle one, or other placements (${hits})`
    : `${busy}queues of seconds grow from small differences in arrival and placement (${hits})`
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`

const columns: ReadonlyArray<readonly [string, (row: Comparison) => string]> = [
  ["req/s", ({ ratePerS }) => `${ratePerS}`],
  ["policy", ({ policy }) => policy],
  ["TTFT mean s", ({ live }) => live.ttftMean.toFixed(3)],
  ["simulated", ({ simulated }) => simulated.ttftMean.toFixed(3)],
  ["published", (row) => publishedArm(row)?.ttftMean.toFixed(3) ?? "-"],
  ["p50 s", ({ live }) => live.ttftP50.toFixed(3)],
  ["simulated", ({ simulated }) => simulated.ttftP50.toFixed(3)],
  ["p90 s", ({ live }) => live.ttftP90.toFixed(3)],
  ["simulated", ({ simulated }) => simulated.ttftP90.toFixed(3)],
  ["published", (row) => publishedArm(row)?.ttftP90.toFixed(3) ?? "-"],
  ["output tok/s", ({ live }) => live.outputTokensPerSecond.toFixed(0)],
  ["simulated", ({ simulated }) => simulated.outputTokensPerSecond.toFixed(0)],
  ["published", (row) => publishedArm(row)?.outputTokensPerSecond.toFixed(0) ?? "-"],
  ["hit", ({ live }) => percent(live.hitRatio)],
  ["simulated", ({ simulated }) => percent(simulated.hitRatio)],
  ["cpu", ({ cpuShare }) => percent(cpuShare)],
  ["within 15 %", ({ agrees }) => agrees ? "yes" : "no"]
]

/** Round robin stands beside the Kubernetes service, the others beside the blend. */
const publishedArm = ({ policy, published }: Comparison) =>
  policy === "round-robin" ? published?.service : published?.blend

export const tableOf = (rows: ReadonlyArray<Comparison>): string => {
  const table = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, show]) => show(row)))]
  const widths = columns.map((_, column) => Math.max(...table.map((cells) => cells[column]?.length ?? 0)))
  const lines = table.map((cells) => cells.map((cell, column) => cell.padStart(widths[column] ?? 0)).join("  "))
  const reasons = rows.filter(({ explanation }) => explanation !== undefined)
    .map(({ explanation, policy, ratePerS }) => `${ratePerS} req/s, ${policy}: ${explanation}.`)
  return [...lines, ...(reasons.length === 0 ? [] : ["", ...reasons])].join("\n")
}
