import type { Workload, WorkloadOptions } from "../Workload.ts"
import { TraceError } from "./jsonLine.ts"
import { openLoop, type RecordedRequest } from "./openLoop.ts"

/** Day, hour, minute and second of `2023-11-16 18:17:03.9799600`, with or without an offset behind it. */
const TIMESTAMP = /^\d{4}-\d{2}-(\d{2})[ T](\d{2}):(\d{2}):(\d{2}(?:\.\d+)?)/
const COLUMNS = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"]
/** A trace may run into the next month, and then its day falls. */
const MONTH_DAYS = 31

/**
 * Azure's traces of LLM services: lengths and times, but no prompts, so no two requests share anything.
 * Source: github.com/Azure/AzurePublicDataset. Throws TraceError.
 */
export const readAzure = (text: string): (options: WorkloadOptions) => Workload => {
  const lines = text.split("\n")
  const header = lines[0]?.trim().split(",")
  if (header === undefined || COLUMNS.some((column, index) => header[index] !== column)) {
    throw new TraceError(1, `the header is "${lines[0]?.trim() ?? ""}" but must be "${COLUMNS.join(",")}"`)
  }
  const requests: Array<RecordedRequest> = []
  let firstS = -1
  for (let i = 1; i < lines.length; i++) {
    const content = lines[i]!.trim()
    if (content === "") continue
    const [time = "", context = "", generated = ""] = content.split(",")
    let seconds = secondsOf(time, i + 1)
    if (firstS < 0) firstS = seconds
    if (seconds < firstS) seconds += MONTH_DAYS * 86_400
    const tokens = Math.max(1, tokensOf(context, i + 1))
    requests.push({
      atS: seconds,
      prompt: () => [{ id: i, tokens }],
      outputTokens: Math.max(1, tokensOf(generated, i + 1))
    })
  }
  return (options) => openLoop("azure", requests, options)
}

const secondsOf = (time: string, line: number): number => {
  const [, day, hour, minute, second] = TIMESTAMP.exec(time) ?? []
  if (second === undefined) throw new TraceError(line, `"${time}" is no time such as 2023-11-16 18:17:03.97`)
  return ((Number(day) * 24 + Number(hour)) * 60 + Number(minute)) * 60 + Number(second)
}

const tokensOf = (text: string, line: number): number => {
  const tokens = Number(text)
  if (text !== "" && Number.isInteger(tokens) && tokens >= 0) return tokens
  throw new TraceError(line, `"${text}" is no count of tokens`)
}
