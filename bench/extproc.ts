import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { envoyConfig } from "../test/real/realEnvoy.ts"
import type { BenchOptions } from "./Bench.ts"
import { type Flags, wholeNumberOf } from "./flags.ts"
import { canPin, freePort, output, pinned, Process, untilAnswers, workDirectory } from "./Process.ts"
import { envoy, envoyArgv } from "./proxy/gateways.ts"
import { buildTools, GATEWAY_CORE, type Load, LOAD_CORE, mockArgv, sendLoad, type Target } from "./proxy/load.ts"
import { serveArgv } from "./Warmroute.ts"

export const name = "extproc"
export const claim =
  "through Envoy the picker makes at least 3,000 decisions a second on one core, at most 300 us of CPU " +
  "each, and adds at most 0.7 ms to a lone request"

const directory = join(workDirectory, "extproc")
const TOKEN_MS = 20
const CONCURRENCY = 32

/** One round: what Envoy takes with the picker, and alone, for one request at a time. */
interface Round {
  readonly decisionsPerSecond: number
  readonly cpuUsPerDecision: number
  readonly addedMsP50: number
  readonly addedMsP99: number
  readonly errors: number
  readonly otherCpuCores: number
}

export const flags = { rounds: { takes: "N", help: "measurements to take the median of" } } satisfies Flags

export const run = async (options: BenchOptions<typeof flags>): Promise<object> => {
  const rounds = wholeNumberOf("rounds", options.values.rounds ?? (options.quick ? "1" : "5"), 1)
  if (canPin) await output(["taskset", "-acp", String(LOAD_CORE), String(process.pid)])
  else options.progress("cores can't be chosen here: picker, Envoy and load share all of them, so take it lightly")
  await buildTools()
  await envoy.install()
  mkdirSync(directory, { recursive: true })
  const children: Array<Process> = []
  try {
    const pods = await startPods(children)
    const [pickerPort, pickedPort, plainPort] = [freePort(), freePort(), freePort()]
    const pickerPid = await startPicker(children, pods.ports, pickerPort)
    const file = join(directory, "envoy.json")
    writeFileSync(file, await envoyConfig({ pickerPort }, pickedPort))
    await start(children, "extproc-envoy", envoyArgv(file), pickedPort)
    await start(children, "extproc-plain", envoy.argv(plainPort, pods.ports), plainPort)
    const picked: Target = { pid: pickerPid, ports: [pickedPort] }
    const plain: Target = { pid: pickerPid, ports: [plainPort] }
    const warm = load(options.quick ? 1 : 4, CONCURRENCY)
    for (const target of [picked, plain]) await sendLoad(warm, target, pods.pid)
    const measured: Array<Round> = []
    for (let round = 1; round <= rounds; round++) {
      measured.push(await measure(options.quick ? 1 : 3, picked, plain, pods.pid))
      options.progress(`round ${round}/${rounds} ${JSON.stringify(measured.at(-1))}`)
    }
    return summary(measured)
  } finally {
    await Promise.all(children.map((child) => child.stop()))
  }
}

const load = (durationS: number, connections: number): Load => ({
  mode: "closed",
  connections,
  warmS: 0.3,
  durationS,
  sharedBytes: 2000,
  uniqueBytes: 200,
  maxTokens: 16
})

const measure = async (durationS: number, picked: Target, plain: Target, podsPid: number): Promise<Round> => {
  const busy = await sendLoad(load(durationS, CONCURRENCY), picked, podsPid)
  const lone = await sendLoad(load(durationS, 1), picked, podsPid)
  const alone = await sendLoad(load(durationS, 1), plain, podsPid)
  return {
    decisionsPerSecond: Math.round(busy.requests / busy.durationS),
    cpuUsPerDecision: Math.round((busy.cpuSeconds * 1e6) / Math.max(1, busy.requests)),
    addedMsP50: inMs(lone.ttftMs.p50 - alone.ttftMs.p50),
    addedMsP99: inMs(lone.ttftMs.p99 - alone.ttftMs.p99),
    errors: busy.errors + lone.errors,
    otherCpuCores: Number((busy.otherCpuSeconds / busy.durationS).toFixed(1))
  }
}

const inMs = (value: number): number => Number(value.toFixed(2))

const summary = (rounds: ReadonlyArray<Round>): object => {
  const median = (key: keyof Round): number => {
    const sorted = rounds.map((round) => round[key]).toSorted((a, b) => a - b)
    return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  }
  const cpuUsPerDecision = median("cpuUsPerDecision")
  return {
    decisionsPerSecond: median("decisionsPerSecond"),
    addedMsP50: median("addedMsP50"),
    addedMsP99: median("addedMsP99"),
    cpuUsPerDecision,
    errors: rounds.reduce((sum, round) => sum + round.errors, 0),
    // Envoy, pods and load need the rest of a small machine; this is what the picker's own core has room for.
    decisionsPerSecondOfCore: Math.round(1e6 / cpuUsPerDecision),
    otherCpuCores: median("otherCpuCores"),
    pinned: canPin,
    rounds,
    date: new Date().toISOString()
  }
}

const startPods = async (children: Array<Process>): Promise<Target> => {
  const child = new Process({ name: "extproc-mock", argv: mockArgv(TOKEN_MS, false) })
  children.push(child)
  for (let attempt = 0; attempt < 250 && child.running; attempt++) {
    const [line = ""] = readFileSync(child.logFile, "utf8").split("\n")
    if (line.endsWith("}")) return { pid: child.pid, ports: (JSON.parse(line) as { ports: Array<number> }).ports }
    await Bun.sleep(20)
  }
  throw new Error(`the mock pods did not start:\n${child.logTail()}`)
}

/** A whole gateway on a core of its own; its process. */
const startPicker = async (
  children: Array<Process>,
  podPorts: ReadonlyArray<number>,
  pickerPort: number
): Promise<number> => {
  const port = freePort()
  const argv = serveArgv({
    port,
    podPorts,
    pickerPort,
    preset: "qwen3-32b-2xh100",
    directory,
    snapshotInterval: "10 seconds"
  })
  return start(children, "extproc-picker", pinned(GATEWAY_CORE, argv), port)
}

/** Starts it and waits until the pods' models are seen through it. */
const start = async (
  children: Array<Process>,
  logName: string,
  argv: ReadonlyArray<string>,
  port: number
): Promise<number> => {
  const child = new Process({ name: logName, argv })
  children.push(child)
  const reason = await untilAnswers(child, `http://127.0.0.1:${port}/v1/models`, "mock-model", 20)
  if (reason !== undefined) throw new Error(`${logName}: ${reason}`)
  return child.pid
}
