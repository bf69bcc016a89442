import { join } from "node:path"
import { flags, output, pinned, repositoryRoot, workDirectory } from "../Process.ts"

/** The load generator and the mock pods share a core; the gateway has the other one for itself. */
export const LOAD_CORE = 0
export const GATEWAY_CORE = 1

/** How the load generator is called; see `bench/load/main.go`. */
export interface Load {
  readonly mode: "closed" | "paced" | "streams"
  readonly connections: number
  /** Requests a second, for `paced`. */
  readonly rate?: number
  readonly warmS: number
  readonly durationS: number
  readonly sharedBytes: number
  readonly uniqueBytes: number
  readonly maxTokens: number
  /** Streams only: open each once and read all of it. */
  readonly once?: boolean
}

interface Percentiles {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

/** What the load generator saw in its window, and what the measured process tree spent in it. */
export interface LoadResult {
  readonly requests: number
  readonly tokens: number
  readonly openMost: number
  readonly ttftMs: Percentiles
  readonly errors: number
  readonly errorKinds: Readonly<Record<string, number>>
  readonly cpuSeconds: number
  readonly rssMostMb: number
  /** CPU time of processes that have no part in the bench: what disturbed it. */
  readonly otherCpuSeconds: number
  readonly durationS: number
}

const binary = (name: string) => join(workDirectory, "bin", name)

/** Builds the mock and the load generator. Go is needed for this and for nothing else in the repository. */
export const buildTools = async (): Promise<void> => {
  if (Bun.which("go") === null) {
    throw new Error("bench proxy needs Go 1.22 or later to build its mock pods; put go on PATH")
  }
  await output(
    ["go", "build", "-o", `${join(workDirectory, "bin")}/`, "./mock", "./load"],
    join(repositoryRoot, "bench")
  )
}

export const mockArgv = (tokenMs: number, render: boolean): ReadonlyArray<string> =>
  pinned(LOAD_CORE, [binary("mock"), "-pods", "4", "-token-ms", String(tokenMs), `-render=${render}`])

/** A process that listens: its ports share the load, and its tree is measured while the load lasts. */
export interface Target {
  readonly pid: number
  readonly ports: ReadonlyArray<number>
}

/** `podsPid` is told so that the CPU time of everything else on the machine can be told from the bench's own. */
export const sendLoad = async (load: Load, to: Target, podsPid: number): Promise<LoadResult> => {
  const argv = [
    binary("load"),
    ...flags({ targets: to.ports.map((port) => `127.0.0.1:${port}`).join(","), pid: to.pid, "pods-pid": podsPid }),
    ...flags({ mode: load.mode, connections: load.connections, rate: load.rate ?? 0 }),
    ...flags({ "warm-s": load.warmS, "duration-s": load.durationS, "max-tokens": load.maxTokens }),
    ...flags({ "shared-bytes": load.sharedBytes, "unique-bytes": load.uniqueBytes, "run-id": Date.now() }),
    `-once=${load.once ?? false}`
  ]
  const lines = (await output(pinned(LOAD_CORE, argv))).trim().split("\n")
  return JSON.parse(lines.at(-1) ?? "") as LoadResult
}
