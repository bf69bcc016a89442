import { askStream } from "./askStream.ts"
import type { BenchOptions } from "./Bench.ts"
import { type Flags, namesOf, numberOf } from "./flags.ts"
import { PODS, PRESET, scaledPodsArgv } from "./headline/scale.ts"
import { type Arm, arms } from "./overload/arms.ts"
import { type LoadResult, loadResult, SLO, type Told } from "./overload/LoadResult.ts"
import { type Must, mustsOf } from "./overload/musts.ts"
import { type Arrival, arrivals, MODEL, type Sender } from "./overload/traffic.ts"
import { freePort, Process, untilAnswers } from "./Process.ts"

export const name = "overload"
export const claim =
  "at twice the capacity goodput inside the SLO stays at 95 % of its best, the high band's P99 TTFT within 1.5 times " +
  "that of a fleet with nothing else to do, and a flow that sends ten times as much gets no more than its share"

/** Requests a second, emulated, that the eight pods answer inside the SLO at most; measured by the bench itself. */
const CAPACITY_PER_S = 95
/** Output tokens in a piece of a stream. */
const STREAM_INTERVAL = 50
/** A client without a first token leaves after so many emulated seconds. */
const CLIENT_PATIENCE_S = 10
/** Real time that a stream which has begun may take. */
const STREAM_WITHIN_MS = 120_000
/** Of a load's length, before it is measured. */
const WARM_UP_SHARE = 0.35
/** Emulated seconds more before that: an overload must last to be taken for one, and a fleet is full only after a stream's length. */
const WARM_UP_S = 30
/**
 * So many emulated seconds the load goes on at most until the last measured answer has ended: without it those that
 * wait when the load ends, mostly of the heavy flow, would share an idle fleet.
 */
const COOL_DOWN_S = 30
const UNLOADED_PER_S = 8
const SEED = 11

interface ArmResult {
  readonly gateway: string
  /** The high band alone on the fleet. Emulated seconds. */
  readonly unloadedTtftP50S: number
  readonly unloadedTtftP99S: number
  readonly loads: ReadonlyArray<LoadResult>
  /** Answers inside the SLO a second at the highest load, over the most at any; and the same of their prefill seconds. */
  readonly goodputKept: number
  readonly goodWorkKept: number
  /** P99 of the high band at the highest load, over that of the unloaded fleet. */
  readonly highSlowdown: number
  /** What the heavy flow got at the highest load, over its fair part. */
  readonly heavyOverFair: number
}

interface OverloadResult {
  readonly speed: number
  readonly pods: number
  readonly hardware: string
  readonly slo: typeof SLO
  readonly capacityPerS: number
  readonly wallSeconds: number
  readonly runs: ReadonlyArray<ArmResult>
  readonly musts: ReadonlyArray<Must>
  readonly skipped: ReadonlyArray<string>
}

const armNames = arms(1).map((arm) => arm.name)

export const flags = {
  loads: { takes: "0.5,1,2", help: "shares of the capacity" },
  speed: { takes: "N", help: "times as fast as the hardware; default 2" },
  only: { takes: "NAMES", help: `gateways, of ${armNames.join(",")}` },
  seconds: { takes: "N", help: "real ones, of each load" }
} satisfies Flags
type Options = BenchOptions<typeof flags>

export const run = async (options: Options): Promise<OverloadResult> => {
  const { loads, only, seconds, speed } = settingsOf(options)
  const startedMs = performance.now()
  const runs: Array<ArmResult> = []
  const skipped: Array<string> = []
  for (const arm of arms(speed)) {
    if (!only.includes(arm.name)) continue
    try {
      await arm.install()
      runs.push(await measure(arm, loads, seconds, speed, options))
    } catch (cause) {
      skipped.push(`${arm.name}: ${cause instanceof Error ? cause.message : String(cause)}`)
      options.progress(skipped.at(-1) ?? "")
    }
  }
  return {
    speed,
    pods: PODS,
    hardware: PRESET,
    slo: SLO,
    capacityPerS: CAPACITY_PER_S,
    wallSeconds: (performance.now() - startedMs) / 1000,
    runs,
    musts: mustsOf(runs),
    skipped
  }
}

const settingsOf = ({ quick, values }: Options) => ({
  loads: (values.loads ?? (quick ? "0.8,2" : "0.5,0.8,1,1.3,2")).split(",").map((load) => numberOf("loads", load)),
  speed: numberOf("speed", values.speed ?? "2"),
  seconds: numberOf("seconds", values.seconds ?? (quick ? "6" : "9")),
  only: namesOf("only", values.only ?? armNames.join(","), armNames)
})

const measure = async (
  arm: Arm,
  loads: ReadonlyArray<number>,
  seconds: number,
  speed: number,
  { progress }: Options
): Promise<ArmResult> => {
  const podPort = 20_000 + Math.floor(Math.random() * 8000)
  const podPorts = Array.from({ length: PODS }, (_, index) => podPort + index)
  const port = freePort()
  const processes: Array<Process> = []
  const started = async (child: string, argv: ReadonlyArray<string>, urls: ReadonlyArray<string>): Promise<void> => {
    const process = new Process({ name: `overload-${arm.name}-${child}`, argv })
    processes.push(process)
    for (const url of urls) {
      const reason = await untilAnswers(process, url, MODEL, 30)
      if (reason !== undefined) throw new Error(reason)
    }
  }
  try {
    await started(
      "pods",
      scaledPodsArgv(podPort, speed, STREAM_INTERVAL, MODEL),
      podPorts.map((pod) => `http://127.0.0.1:${pod}/v1/models`)
    )
    await started("gateway", arm.argv(port, podPorts), [`http://127.0.0.1:${port}/v1/models`])
    let seed = SEED
    const runLoad = async (load: number, ratePerS: number, onlyHigh: boolean): Promise<LoadResult> => {
      // Each has prompts of its own, the same for every gateway.
      const warmUpS = load === 0 ? 0 : WARM_UP_SHARE * seconds * speed + WARM_UP_S
      const untilS = seconds * speed + (load === 0 ? 0 : WARM_UP_S)
      const due = arrivals(ratePerS, untilS + COOL_DOWN_S, seed++, onlyHigh)
      const result = await sendAll(port, load, due, warmUpS, untilS, speed)
      progress(`${arm.name} at ${onlyHigh ? "rest" : load}: ${lineOf(result)}`)
      return result
    }
    // The first prompts of a fresh process meet cold code.
    await runLoad(0, UNLOADED_PER_S, true)
    const unloaded = await runLoad(0, UNLOADED_PER_S, true)
    const results: Array<LoadResult> = []
    for (const load of loads) results.push(await runLoad(load, load * CAPACITY_PER_S, false))
    return armResult(arm.name, unloaded, results)
  } finally {
    for (const child of processes.toReversed()) await child.stop()
  }
}

const armResult = (gateway: string, unloaded: LoadResult, loads: ReadonlyArray<LoadResult>): ArmResult => {
  const most = loads.reduce((most, each) => each.load > most.load ? each : most)
  return {
    gateway,
    unloadedTtftP50S: unloaded.highTtftP50S,
    unloadedTtftP99S: unloaded.highTtftP99S,
    loads,
    goodputKept: most.goodPerS / Math.max(...loads.map(({ goodPerS }) => goodPerS)),
    goodWorkKept: most.goodWorkPerS / Math.max(...loads.map(({ goodWorkPerS }) => goodWorkPerS)),
    highSlowdown: most.highTtftP99S / unloaded.highTtftP99S,
    heavyOverFair: most.heavyShare / most.heavyFairShare
  }
}

/** Sends each request when it is due, until all that are measured have ended; the others are given up then. */
const sendAll = async (
  port: number,
  load: number,
  due: ReadonlyArray<Arrival>,
  fromS: number,
  untilS: number,
  speed: number
): Promise<LoadResult> => {
  const startMs = performance.now() + 50
  const over = new AbortController()
  const send = async (arrival: Arrival): Promise<Told | undefined> => {
    const dueMs = startMs + arrival.afterS / speed * 1000
    await Bun.sleep(Math.max(0, dueMs - performance.now()))
    if (over.signal.aborted) return undefined
    const answer = await askStream({
      port,
      body: arrival.body,
      headerLines: headerLinesOf(arrival.sender),
      firstTokenWithinMs: dueMs + CLIENT_PATIENCE_S / speed * 1000 - performance.now(),
      streamWithinMs: STREAM_WITHIN_MS,
      signal: over.signal
    })
    return { arrival, dueMs, answer }
  }
  const measured: Array<Promise<Told | undefined>> = []
  for (const arrival of due) {
    const sent = send(arrival)
    if (arrival.afterS >= fromS && arrival.afterS < untilS) measured.push(sent)
  }
  const told = (await Promise.all(measured)).filter((each) => each !== undefined)
  over.abort()
  return loadResult(load, told, untilS - fromS, speed)
}

const headerLinesOf = (sender: Sender): string =>
  sender === "high"
    ? "x-llm-d-inference-objective: interactive\r\nx-llm-d-inference-fairness-id: high\r\n"
    : `x-llm-d-inference-fairness-id: ${sender}\r\n`

const lineOf = (result: LoadResult): string =>
  `${result.goodPerS.toFixed(1)} good/s (${result.goodWorkPerS.toFixed(2)} s/s) of ${result.requests}, ` +
  `${result.refused} refused, ${result.gaveUp} gave up, ${result.failed} failed; TTFT p50 ${
    result.ttftP50S.toFixed(3)
  } ` +
  `p99 ${result.ttftP99S.toFixed(3)}, high p50 ${result.highTtftP50S.toFixed(3)} p99 ${
    result.highTtftP99S.toFixed(3)
  }, ` +
  `TPOT ${(result.tpotMeanS * 1000).toFixed(0)} ms; heavy ${(result.heavyShare * 100).toFixed(0)} % ` +
  `(fair ${(result.heavyFairShare * 100).toFixed(0)} %), light served ${(result.lightServed * 100).toFixed(0)} %`

const percent = (share: number): string => `${(share * 100).toFixed(0)} %`

const rowOf = (arm: ArmResult): string => {
  const most = arm.loads.reduce((most, each) => each.load > most.load ? each : most)
  const cells = [
    arm.gateway,
    most.goodPerS.toFixed(0),
    percent(arm.goodputKept),
    percent(arm.goodWorkKept),
    `${arm.unloadedTtftP99S.toFixed(2)} → ${most.highTtftP99S.toFixed(2)} s (${arm.highSlowdown.toFixed(1)}×)`,
    arm.heavyOverFair.toFixed(2),
    percent(most.lightServed)
  ]
  return `| ${cells.join(" | ")} |`
}

/** What must hold and does not; a gateway of ours that could not be measured breaks the claim too. */
export const broken = ({ musts, skipped }: Pick<OverloadResult, "musts" | "skipped">): ReadonlyArray<string> => [
  ...musts.flatMap(({ met, text }) => met ? [] : [text]),
  ...skipped.filter((line) => line.startsWith("warmroute"))
]

/** The answer for people. */
export const show = ({ musts, runs, skipped, speed, wallSeconds }: OverloadResult): string =>
  [
    `${PODS} emulated pods of ${PRESET}, ${speed} times as fast; seconds are the pods'. SLO: TTFT ${SLO.ttftS} s, mean ` +
    `TPOT ${SLO.tpotS * 1000} ms. The bench took ${wallSeconds.toFixed(0)} s.`,
    "",
    "| gateway | inside the SLO at 2×, requests/s | of its best | the same by prefill | " +
    "high band's P99 TTFT, unloaded → 2× | heavy flow over its share | light flows served |",
    "|---|---|---|---|---|---|---|",
    ...runs.map(rowOf),
    ...musts.map(({ met, text }) => `${met ? "met" : "missed"}: ${text}`),
    ...skipped.map((line) => `skipped ${line}`)
  ].join("\n")
