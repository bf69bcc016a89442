import { Either } from "effect"
import type { Workload, WorkloadOptions } from "../Workload.ts"
import { readAzure } from "./azure.ts"
import { readClaudeCode } from "./claudeCode.ts"
import { readDecisions } from "./decisions.ts"
import { bailian, mooncake, readHashBlocks } from "./hashBlocks.ts"
import { TraceError } from "./jsonLine.ts"

type MakeWorkload = (options: WorkloadOptions) => Workload

interface TraceFormat {
  readonly read: (text: string) => MakeWorkload
  /** What `load` counts, and what it is when nobody says. */
  readonly load: string
  readonly defaultLoad: number
}

const speed = { load: "times as fast as recorded", defaultLoad: 1 }

/** Trace formats by the name that `--format` takes. */
export const traceFormats: ReadonlyMap<string, TraceFormat> = new Map([
  ["mooncake", { read: (text: string) => readHashBlocks(mooncake, text), ...speed }],
  ["bailian", { read: (text: string) => readHashBlocks(bailian, text), ...speed }],
  ["claude-code", { read: readClaudeCode, load: "sessions a minute", defaultLoad: 3 }],
  ["azure", { read: readAzure, ...speed }],
  ["decisions", { read: readDecisions, ...speed }]
])

/** Reads a trace. Left: what is wrong with it and where, in words. */
export const readTrace = (format: string, text: string): Either.Either<MakeWorkload, string> => {
  const known = traceFormats.get(format)
  if (known === undefined) {
    return Either.left(`there is no trace format "${format}"; there are: ${[...traceFormats.keys()].join(", ")}`)
  }
  return Either.try({
    try: () => known.read(text),
    catch: (cause) => {
      if (cause instanceof TraceError) return cause.message
      throw cause
    }
  })
}
