import { readFileSync } from "node:fs"
import { arch, cpus, release } from "node:os"
import type { BenchOptions } from "./Bench.ts"
import { type Flags, namesOf, wholeNumberOf } from "./flags.ts"
import { canPin, freePort, output, pinned, Process, untilAnswers } from "./Process.ts"
import { HOLD_TOKEN_MS, holdLoad, type ProxyCase, proxyCases } from "./proxy/cases.ts"
import { type Gateway, gateways } from "./proxy/gateways.ts"
import { buildTools, GATEWAY_CORE, LOAD_CORE, mockArgv, sendLoad, type Target } from "./proxy/load.ts"
import { DIRECT, markdown, type Measurement, otherCpuCores, summarise } from "./proxy/report.ts"

export const name = "proxy"
export const claim =
  "CPU, added TTFT and memory against vllm-router, smg and Envoy on the same pods: at most 100 us a " +
  "small request, 150 us with 30 KB, 21 us a token; 2,000 streams in 200 MB"

interface Running extends Target {
  readonly name: string
}

interface Skipped {
  readonly gateway: string
  readonly reason: string
}

interface Settings {
  readonly rounds: number
  readonly only: ReadonlyArray<string>
  readonly render: boolean
}

const gatewayNames = gateways.map((gateway) => gateway.name)

export const flags = {
  rounds: { takes: "N", help: "measurements to take the median of" },
  only: { takes: "NAMES", help: `gateways, of ${gatewayNames.join(",")}` },
  "without-render": { help: "pods answer 404 to /render, so that vllm-router falls back to text" }
} satisfies Flags
type Options = BenchOptions<typeof flags>

const settingsOf = ({ quick, values }: Options): Settings => ({
  rounds: wholeNumberOf("rounds", values.rounds ?? (quick ? "1" : "3"), 1),
  only: namesOf("only", values.only ?? gatewayNames.join(","), gatewayNames),
  render: values["without-render"] !== true
})

export const run = async (options: Options): Promise<object> => {
  const settings = settingsOf(options)
  if (canPin) await output(["taskset", "-acp", String(LOAD_CORE), String(process.pid)])
  else options.progress("cores can't be chosen here: gateways and load share all of them, so take the numbers lightly")
  await buildTools()
  const children: Array<Process> = []
  try {
    const pods = await startPods(children, "mock", 20, settings.render)
    const skipped: Array<Skipped> = []
    const running: Array<Running> = []
    for (const gateway of gateways) {
      if (!settings.only.includes(gateway.name)) continue
      const started = await startGateway(children, gateway, pods.ports, options)
      if ("reason" in started) skipped.push(started)
      else running.push(started)
    }
    const measurements = await measure(options, settings, pods, running)
    const cases = summarise(measurements)
    options.progress(`\n${markdown(cases)}\n`)
    const hold2000 = settings.only.includes("warmroute") ? await hold(children, options) : null
    return {
      cases: cases.filter((result) => result.gateway !== DIRECT),
      mock: cases.filter((result) => result.gateway === DIRECT),
      hold2000,
      skipped,
      machine: { ...await machine(), otherCpuCores: otherCpuCores(measurements) },
      versions: Object.fromEntries(gateways.map((gateway) => [gateway.name, gateway.version])),
      rounds: settings.rounds,
      date: new Date().toISOString()
    }
  } finally {
    await Promise.all(children.map((child) => child.stop()))
  }
}

const startPods = async (
  children: Array<Process>,
  logName: string,
  tokenMs: number,
  render: boolean
): Promise<Running> => {
  const child = new Process({ name: logName, argv: mockArgv(tokenMs, render) })
  children.push(child)
  for (let attempt = 0; attempt < 250; attempt++) {
    const [line = ""] = readFileSync(child.logFile, "utf8").split("\n")
    if (line.endsWith("}")) {
      const { ports } = JSON.parse(line) as { ports: ReadonlyArray<number> }
      return { name: DIRECT, pid: child.pid, ports }
    }
    if (!child.running) break
    await Bun.sleep(20)
  }
  throw new Error(`the mock pods did not start:\n${child.logTail()}`)
}

const startGateway = async (
  children: Array<Process>,
  gateway: Gateway,
  podPorts: ReadonlyArray<number>,
  options: Options
): Promise<Running | Skipped> => {
  const skip = (reason: string): Skipped => {
    options.progress(`${gateway.name} skipped: ${reason}`)
    return { gateway: gateway.name, reason }
  }
  try {
    await gateway.install()
  } catch (error) {
    return skip(`could not be installed: ${error instanceof Error ? error.message : String(error)}`)
  }
  const port = freePort()
  const child = new Process({ name: gateway.name, argv: pinned(GATEWAY_CORE, gateway.argv(port, podPorts)) })
  const reason = await untilAnswers(child, `http://127.0.0.1:${port}/v1/models`, "mock-model", 20)
  if (reason !== undefined) {
    await child.stop()
    return skip(reason)
  }
  children.push(child)
  options.progress(`${gateway.name} is up`)
  return { name: gateway.name, pid: child.pid, ports: [port] }
}

/** Rounds of A B C D, A B C D …, so that a slow minute of the machine falls on every gateway alike. */
const measure = async (
  options: Options,
  settings: Settings,
  pods: Running,
  running: ReadonlyArray<Running>
): Promise<ReadonlyArray<Measurement>> => {
  const cases = proxyCases(options.quick)
  const out: Array<Measurement> = []
  for (const target of running) await warmUp(cases, target, pods, options.quick ? 0.7 : 2.5)
  for (let round = 1; round <= settings.rounds; round++) {
    for (const one of cases) {
      for (const target of [pods, ...running]) {
        const measurement = await measureOne(one, target, pods)
        out.push(measurement)
        options.progress(`round ${round}/${settings.rounds} ${describe(measurement)}`)
      }
    }
  }
  return out
}

/** Lets compilers and connection pools settle before anything is counted. */
const warmUp = async (
  cases: ReadonlyArray<ProxyCase>,
  target: Running,
  pods: Running,
  durationS: number
): Promise<void> => {
  for (const { cost } of cases) {
    if (cost.mode === "closed") await sendLoad({ ...cost, durationS }, target, pods.pid)
  }
}

const measureOne = async (one: ProxyCase, target: Running, pods: Running): Promise<Measurement> => {
  const cost = await sendLoad(one.cost, target, pods.pid)
  const latency = one.latency === undefined ? cost : await sendLoad(one.latency, target, pods.pid)
  return { case: one.name, gateway: target.name, cost, latency }
}

const describe = ({ case: caseName, gateway, cost, latency }: Measurement): string => {
  const [each, unit] = caseName.startsWith("stream") ? [cost.tokens, "token"] : [cost.requests, "request"]
  const errors = cost.errors + (latency === cost ? 0 : latency.errors)
  return `${caseName} ${gateway}: ${((cost.cpuSeconds * 1e6) / Math.max(1, each)).toFixed(1)} us/${unit} (${each}), ` +
    `TTFT p50 ${latency.ttftMs.p50.toFixed(2)} p99 ${latency.ttftMs.p99.toFixed(2)} ms, ${errors} errors`
}

/** 2,000 streams at once through a fresh warmroute; slower pods, so that the load generator is not the limit. */
const hold = async (children: Array<Process>, options: Options): Promise<object> => {
  const warmroute = gateways.find((gateway) => gateway.name === "warmroute")
  if (warmroute === undefined) throw new Error("warmroute is not in the list of gateways")
  const pods = await startPods(children, "mock-hold", HOLD_TOKEN_MS, true)
  const started = await startGateway(children, warmroute, pods.ports, options)
  if ("reason" in started) return started
  const load = holdLoad(options.quick)
  const result = await sendLoad(load, started, pods.pid)
  const answer = {
    streams: load.connections,
    openMost: result.openMost,
    rssMb: Math.round(result.rssMostMb),
    errors: result.errors,
    errorKinds: result.errorKinds,
    cpuUsPerToken: Number(((result.cpuSeconds * 1e6) / Math.max(1, result.tokens)).toFixed(1))
  }
  options.progress(`hold2000: ${JSON.stringify(answer)}`)
  return answer
}

const machine = async (): Promise<object> => {
  const [cpu] = cpus()
  const tools = { go: (await output(["go", "version"])).trim() }
  return {
    cpu: cpu?.model ?? "unknown",
    cores: cpus().length,
    arch: arch(),
    kernel: release(),
    pinned: canPin,
    ...tools
  }
}
