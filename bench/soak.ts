import { readdirSync, readlinkSync } from "node:fs"
import type { BenchOptions } from "./Bench.ts"
import { ChaosClient } from "./chaos/ChaosClient.ts"
import { ChaosFleet } from "./chaos/ChaosFleet.ts"
import type { Fault } from "./chaos/faults.ts"
import { GatewayProcess } from "./chaos/GatewayProcess.ts"
import { sumOf } from "./chaos/gatewayState.ts"
import { sendLoad } from "./chaos/load.ts"
import { type KnownQuestion, MODEL, withAnswers } from "./chaos/requests.ts"
import { brokenBySoak, type SoakMinute, type SoakVerdict, soakVerdict } from "./chaos/soakVerdict.ts"
import { tally } from "./chaos/tally.ts"
import { type Flags, wholeNumberOf } from "./flags.ts"
import { canPin, output } from "./Process.ts"
import { gateways } from "./proxy/gateways.ts"
import { GATEWAY_CORE, LOAD_CORE } from "./proxy/load.ts"

export const name = "soak"
export const claim =
  "half an hour of traffic, leaving clients and dying pods: memory stays flat, and nothing is left over after any minute"

const PODS = 4
const RATE_PER_S = 150
/** One client in so many goes away in the middle. */
const LEAVE_EVERY = 25
const LOAD_S = 50
/** Idle sockets to the pods are gone by then, so that what is counted is what leaks. */
const QUIET_S = 7

interface SoakResult {
  readonly minutes: ReadonlyArray<SoakMinute>
  readonly verdict: SoakVerdict
}

/** Each minute another pod dies and comes back, and another one resets its connections. */
const faultsOf = (minute: number): ReadonlyArray<Fault> => [
  { kind: "kill", pods: [minute % PODS], startS: 10, endS: 15 },
  { kind: "reset", pods: [(minute + 1) % PODS], startS: 28, endS: 30 },
  { kind: "slow", pods: [(minute + 2) % PODS], startS: 36, endS: 40 }
]

export const flags = { minutes: { takes: "N", help: "how long; default 30" } } satisfies Flags

export const run = async (options: BenchOptions<typeof flags>): Promise<SoakResult> => {
  const count = wholeNumberOf("minutes", options.values.minutes ?? (options.quick ? "2" : "30"), 1)
  if (canPin) await output(["taskset", "-acp", String(LOAD_CORE), String(process.pid)])
  const fleet = new ChaosFleet({ count: PODS, hardware: "qwen3-32b-2xh100", model: MODEL })
  const gateway = new GatewayProcess(gateways.find((one) => one.name === "warmroute")!, fleet.ports, GATEWAY_CORE)
  const minutes: Array<SoakMinute> = []
  try {
    await fleet.start()
    const questions = await withAnswers(fleet.urls[0]!)
    await gateway.start()
    for (let minute = 1; minute <= count; minute++) {
      const measured = await oneMinute(minute, fleet, gateway, questions)
      minutes.push(measured)
      options.progress(JSON.stringify(measured))
    }
  } finally {
    await gateway.stop()
    await fleet.stop()
  }
  return { minutes, verdict: soakVerdict(minutes) }
}

export const broken = ({ minutes, verdict }: SoakResult): ReadonlyArray<string> => brokenBySoak(verdict, minutes.length)

const oneMinute = async (
  minute: number,
  fleet: ChaosFleet,
  gateway: GatewayProcess,
  questions: ReadonlyArray<KnownQuestion>
): Promise<SoakMinute> => {
  fleet.forget()
  const client = new ChaosClient(gateway.port)
  const load = sendLoad({
    client,
    questions,
    ratePerS: RATE_PER_S,
    durationS: LOAD_S,
    name: `soak-${minute}`,
    leaveEvery: LEAVE_EVERY
  })
  const [records] = await Promise.all([load, fleet.play(faultsOf(minute))])
  client.close()
  await Bun.sleep(QUIET_S * 1000)
  const page = await gateway.page()
  const counts = tally(records, fleet.seen, fleet.windows, [], PODS)
  return {
    minute,
    requests: counts.requests,
    ok: counts.ok,
    cleanErrors: counts.cleanErrors,
    uncleanErrors: counts.uncleanErrors,
    rssMb: gateway.rssMb,
    openRequests: sumOf(page, "warmroute_open_requests"),
    reservations: sumOf(page, "warmroute_reservations"),
    waitingRequests: sumOf(page, "warmroute_waiting_requests"),
    ...openFiles(gateway.pid),
    reasons: counts.reasons
  }
}

const openFiles = (pid: number): { readonly fds: number; readonly sockets: number } => {
  const directory = `/proc/${pid}/fd`
  const files = readdirSync(directory)
  return { fds: files.length, sockets: files.filter((file) => isSocket(`${directory}/${file}`)).length }
}

const isSocket = (link: string): boolean => {
  try {
    return readlinkSync(link).startsWith("socket:")
  } catch {
    // Closed since the directory was read.
    return false
  }
}
