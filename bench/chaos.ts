import type { BenchOptions } from "./Bench.ts"
import { ChaosClient } from "./chaos/ChaosClient.ts"
import { CoreTime } from "./chaos/CoreTime.ts"
import { ChaosFleet } from "./chaos/ChaosFleet.ts"
import { brokenByChaos, type ChaosRun, chaosTable } from "./chaos/chaosTable.ts"
import { DirectStreams } from "./chaos/DirectStreams.ts"
import { faultsOf, POD_COUNT } from "./chaos/faults.ts"
import { GatewayProcess } from "./chaos/GatewayProcess.ts"
import { benchMs, type Lateness, watchLateness } from "./chaos/lateness.ts"
import { sendLoad } from "./chaos/load.ts"
import { usualRssMb } from "./chaos/usualRssMb.ts"
import { type KnownQuestion, MODEL, withAnswers } from "./chaos/requests.ts"
import { stallReport, type StallSources } from "./chaos/stallReport.ts"
import { type DownWindow, isHealthyStream, type RequestRecord, tally } from "./chaos/tally.ts"
import { type Flags, namesOf, numberOf } from "./flags.ts"
import { canPin, output } from "./Process.ts"
import { type Gateway, gateways } from "./proxy/gateways.ts"
import { GATEWAY_CORE, LOAD_CORE } from "./proxy/load.ts"

export const name = "chaos"
export const claim =
  "pods are killed, hang, reset, slow down, send garbage and flap, all at once too, and the gateway is killed: " +
  "no unclean end, nothing left in hand, memory at most 20 % up, no healthy stream stalls for 100 ms"

const HARDWARE = "qwen3-32b-2xh100"
/** As they ship: both rivals take cache_aware when nobody says otherwise. */
const BENCHED = ["warmroute", "vllm-router-cache", "smg-cache"]

interface Settings {
  readonly ratePerS: number
  readonly warmS: number
  readonly chaosS: number
  readonly killS: number
  /** Quiet before and after the chaos. */
  readonly quietS: number
  readonly only: ReadonlyArray<string>
}

export const flags = {
  only: { takes: "NAMES", help: `gateways, of ${BENCHED.join(",")}` },
  rate: { takes: "N", help: "requests a second" },
  seconds: { takes: "N", help: "of chaos; 10 at least" }
} satisfies Flags
type Options = BenchOptions<typeof flags>

const settingsOf = ({ quick, values }: Options): Settings => ({
  only: namesOf("only", values.only ?? (quick ? "warmroute" : BENCHED.join(",")), BENCHED),
  ratePerS: numberOf("rate", values.rate ?? (quick ? "100" : "200"), 1),
  warmS: quick ? 3 : 45,
  chaosS: numberOf("seconds", values.seconds ?? (quick ? "16" : "120"), 10),
  killS: quick ? 4 : 15,
  quietS: quick ? 1 : 5
})

export const run = async (options: Options): Promise<{ readonly runs: ReadonlyArray<ChaosRun> }> => {
  const settings = settingsOf(options)
  if (canPin) await output(["taskset", "-acp", String(LOAD_CORE), String(process.pid)])
  const runs: Array<ChaosRun> = []
  for (const gateway of gateways.filter(({ name: one }) => settings.only.includes(one))) {
    runs.push(...await oneRunIfAny(gateway, settings, options))
  }
  return { runs }
}

/** A rival may be impossible to install; without our own gateway there is nothing to tell. */
const oneRunIfAny = async (
  gateway: Gateway,
  settings: Settings,
  options: Options
): Promise<ReadonlyArray<ChaosRun>> => {
  try {
    await gateway.install()
    return [await oneRun(gateway, settings, options)]
  } catch (error) {
    if (gateway.name === "warmroute") throw error
    options.progress(`${gateway.name} skipped: ${error instanceof Error ? error.message : String(error)}`)
    return []
  }
}

export const show = ({ runs }: { readonly runs: ReadonlyArray<ChaosRun> }): string => chaosTable(runs)

export const broken = ({ runs }: { readonly runs: ReadonlyArray<ChaosRun> }, { quick }: Pick<Options, "quick">) =>
  brokenByChaos(runs, !quick)

/** Every gateway has a fleet of its own, so that none meets the caches or the wounds of another. */
const oneRun = async (gateway: Gateway, settings: Settings, options: Options): Promise<ChaosRun> => {
  const fleet = new ChaosFleet({ count: POD_COUNT, hardware: HARDWARE, model: MODEL })
  let running: GatewayProcess | undefined
  try {
    await fleet.start()
    const questions = await withAnswers(fleet.urls[0]!)
    running = new GatewayProcess(gateway, fleet.ports, GATEWAY_CORE)
    await running.start()
    const result = await underChaos(gateway, settings, fleet, running, questions)
    options.progress(JSON.stringify(result))
    return result
  } finally {
    await running?.stop()
    await fleet.stop()
  }
}

const underChaos = async (
  gateway: Gateway,
  settings: Settings,
  fleet: ChaosFleet,
  running: GatewayProcess,
  questions: ReadonlyArray<KnownQuestion>
): Promise<ChaosRun> => {
  const client = new ChaosClient(running.port)
  const direct = new DirectStreams(fleet.ports, questions)
  const load = (phase: string, durationS: number) =>
    sendLoad({ client, questions, ratePerS: settings.ratePerS, durationS, name: `chaos-${phase}`, leaveEvery: 0 })
  const rssMbUnder = (phase: string) => usualRssMb(running, () => load(phase, settings.warmS))
  // What happens while code is compiled and caches fill is nobody's fault.
  const rssStartMb = await rssMbUnder("warm")
  await Bun.sleep(settings.quietS * 1000)
  fleet.forget()
  const clientLate: Array<Lateness> = []
  const endWatch = watchLateness((late) => clientLate.push(late))
  const core = new CoreTime(() => running.pid)
  const startMs = benchMs()
  const [chaos] = await Promise.all([
    load("main", settings.chaosS),
    fleet.play(faultsOf(settings.chaosS)),
    direct.ask("main", settings.chaosS)
  ])
  const before = await running.drained()
  await Bun.sleep(settings.quietS * 1000)
  const rssEndMb = await rssMbUnder("after")
  const down: Array<DownWindow> = []
  const [killed] = await Promise.all([
    load("kill", settings.killS),
    killAndRestart(running, settings.killS / 3, down),
    direct.ask("kill", settings.killS)
  ])
  const after = await running.drained()
  client.close()
  direct.close()
  endWatch()
  core.stop()
  return {
    gateway: gateway.name,
    ...found([...chaos, ...killed], direct.records, fleet, down, { clientLate, gateway: core, startMs }),
    retried: before.retried + after.retried,
    rescued: before.rescued + after.rescued,
    inflightAfter: before.inflight + after.inflight,
    rssStartMb,
    rssEndMb,
    gatewayDownMs: Math.round(down.reduce((sum, { endMs, startMs }) => sum + endMs - startMs, 0)),
    version: gateway.version
  }
}

/** What the records of both kinds say. */
const found = (
  records: ReadonlyArray<RequestRecord>,
  direct: ReadonlyArray<RequestRecord>,
  { late, seen, windows, written }: ChaosFleet,
  down: ReadonlyArray<DownWindow>,
  sources: Pick<StallSources, "clientLate" | "gateway" | "startMs">
) => {
  const counts = tally(records, seen, windows, down, POD_COUNT)
  const past = tally(direct, seen, windows, [], POD_COUNT)
  const healthy = (all: ReadonlyArray<RequestRecord>) =>
    all.filter((record) => isHealthyStream(record, seen.get(record.user), windows))
  const report = stallReport({ ...sources, records: healthy(records), seen, written, podLate: late })
  const pastReport = stallReport({ ...sources, records: healthy(direct), seen, written, podLate: late })
  const longest = (lates: ReadonlyArray<Lateness>) =>
    Math.round(lates.reduce((most, { endMs, startMs }) => Math.max(most, endMs - startMs), 0))
  const benchLagMs = longest([...sources.clientLate, ...late.flat()])
  return {
    ...counts,
    benchStallMs: Math.max(past.longestStallMs, benchLagMs),
    directStallMs: past.longestStallMs,
    directStreams: past.healthyStreams,
    benchLagMs,
    longestWayMs: report.longestWayMs,
    directWayMs: pastReport.longestWayMs,
    tracedStreams: report.tracedStreams,
    stalls: report.stalls,
    directStalls: pastReport.stalls
  }
}

/** kill -9, and a new process at once. */
const killAndRestart = async (running: GatewayProcess, afterS: number, down: Array<DownWindow>): Promise<void> => {
  await Bun.sleep(afterS * 1000)
  const window: DownWindow = { startMs: performance.now(), endMs: Infinity }
  down.push(window)
  await running.kill()
  await running.start()
  window.endMs = performance.now()
}
