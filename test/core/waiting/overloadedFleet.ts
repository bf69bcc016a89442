import { Either } from "effect"
import { hardwarePresets } from "../../../src/core/hardwarePresets.ts"
import { Scheduler } from "../../../src/core/Scheduler.ts"
import { Admission } from "../../../src/core/waiting/Admission.ts"
import { admissionDefaults, type AdmissionOptions } from "../../../src/core/waiting/AdmissionOptions.ts"
import { fleetRoomDefaults } from "../../../src/core/waiting/FleetRoom.ts"
import type { RequestFeatures } from "../../../src/core/RequestFeatures.ts"
import { makePolicy } from "../../../src/policies/registry.ts"
import { EventHeap } from "../../../src/simulator/EventHeap.ts"
import { chainOf } from "../../../src/simulator/promptChain.ts"
import { SeededRandom } from "../../../src/simulator/SeededRandom.ts"
import { SimulatedPod } from "../../../src/simulator/SimulatedPod.ts"
import { pod } from "./waiters.ts"

/** What one client asks, and when it leaves if it has no first token. */
export interface Client {
  readonly atS: number
  readonly promptTokens: number
  readonly flow: string
  readonly priority: number
  readonly leavesAfterS: number
  /** It says in its request how long it waits. */
  readonly saysItWaitsS?: number
}

/** "left": the client gave up. */
export interface Served {
  readonly client: Client
  readonly outcome: string
  readonly ttftS: number
  readonly tpotS: number
}

export interface FleetSettings extends Partial<AdmissionOptions> {
  readonly waitMaxS?: number
  readonly podQueueMaxS?: number
}

/** Requests a second that the fleet answers within a TTFT of 2 s and a TPOT of 100 ms, of prompts as `clientsOf` makes. */
export const CAPACITY_PER_S = 95
const PODS = 8
const OUTPUT_TOKENS = 200
const TICK_S = 0.05
const [ARRIVAL, WAKE, LEAVE, TICK] = [0, 1, 2, 3] as const

/** Eight pods of Qwen3-32B as engine models behind a live admission, in virtual time, until the last has an answer. */
export const serveAll = (
  clients: ReadonlyArray<Client>,
  { podQueueMaxS = fleetRoomDefaults.queueMaxS, waitMaxS = 120, ...options }: FleetSettings = {}
): ReadonlyArray<Served> => {
  const constants = hardwarePresets["qwen3-32b-2xh100"]!
  const random = new SeededRandom(7)
  const pods = Array.from({ length: PODS }, (_, index) => new SimulatedPod<number>(pod(index), constants, 16, 1024))
  const scheduler = new Scheduler({
    policy: Either.getOrThrow(makePolicy({ type: "marginal-cost" }, PODS)),
    podsMax: PODS,
    openRequestsMax: 65_536,
    modelsMax: 1,
    prefixEntriesMax: 4_000_000,
    initialOutputTokens: OUTPUT_TOKENS,
    random: () => random.uniform(),
    room: { ...fleetRoomDefaults, queueMaxS: podQueueMaxS }
  })
  for (const { address, kvCapacityTokens } of pods) {
    scheduler.join(address, constants)
    scheduler.describe(address.id, 16, kvCapacityTokens, ["m"])
    scheduler.observe(address.id, true, 0, 0, 0, 0)
  }
  const events = new EventHeap()
  const outcomes = clients.map(() => ({
    word: "",
    firstTokenS: Number.NaN,
    endS: Number.NaN,
    row: -1,
    reservation: -1
  }))
  const features = clients.map((client, number) => featuresOf(client, number))
  let open = clients.length
  const goOn = (number: number, outcome: { reservation: number; address: { id: string } } | string): void => {
    const own = outcomes[number]!
    if (typeof outcome === "string") {
      own.word ||= outcome
      open--
      return
    }
    own.reservation = outcome.reservation
    own.row = pods.findIndex(({ address }) => address.id === outcome.address.id)
    const target = pods[own.row]!
    const { version } = target
    const { promptTokens } = clients[number]!
    target.submit(
      { owner: number, promptTokens, outputTokens: OUTPUT_TOKENS, chain: features[number]!.chain(16) },
      nowS
    )
    if (target.version !== version) events.push(target.wakeS, WAKE, own.row, target.version)
  }
  const admission = new Admission<number>(
    scheduler,
    { ...admissionDefaults, ...options },
    ({ ticket }, outcome) => goOn(ticket, outcome)
  )
  let nowS = 0
  for (const [number, { atS }] of clients.entries()) events.push(atS, ARRIVAL, number)
  events.push(TICK_S, TICK, 0)
  while (open > 0 && events.pop()) {
    nowS = events.timeS
    const { kind, subject, version } = events
    const own = outcomes[subject]!
    if (kind === TICK) {
      admission.settle(nowS)
      events.push(nowS + TICK_S, TICK, 0)
    } else if (kind === ARRIVAL) {
      const { flow, leavesAfterS, priority, saysItWaitsS } = clients[subject]!
      const clientDeadlineS = saysItWaitsS === undefined ? undefined : nowS + saysItWaitsS
      const deadlineS = Math.min(nowS + waitMaxS, clientDeadlineS ?? Number.POSITIVE_INFINITY)
      const terms = { flow, priority, bytes: 0, deadlineS, clientDeadlineS }
      const outcome = admission.submit(features[subject]!, [], terms, subject, nowS)
      if (outcome !== "waiting") goOn(subject, outcome)
      if (Number.isFinite(leavesAfterS)) events.push(nowS + leavesAfterS, LEAVE, subject)
    } else if (kind === LEAVE) {
      if (own.word !== "" || own.firstTokenS >= 0) continue
      own.word = "left"
      if (admission.cancel(features[subject]!)) continue
      const target = pods[own.row]!
      target.abort(subject, nowS)
      if (target.wakeS < Number.POSITIVE_INFINITY) events.push(target.wakeS, WAKE, own.row, target.version)
      scheduler.end(own.reservation, {}, nowS)
      admission.settle(nowS)
      open--
    } else {
      const target = pods[subject]!
      if (target.version !== version) continue
      const { finished, firstTokens } = target.wake()
      const begun = firstTokens.map(({ owner }) => owner)
      const ended = finished.map(({ owner }) => owner)
      target.begin(nowS)
      if (target.wakeS < Number.POSITIVE_INFINITY) events.push(target.wakeS, WAKE, subject, target.version)
      for (const number of begun) {
        outcomes[number]!.firstTokenS = nowS
        scheduler.firstToken(outcomes[number]!.reservation, nowS)
      }
      for (const number of ended) {
        outcomes[number]!.endS = nowS
        outcomes[number]!.word = "answered"
        scheduler.end(outcomes[number]!.reservation, { outputTokens: OUTPUT_TOKENS }, nowS)
        open--
      }
      admission.settle(nowS)
    }
  }
  return clients.map((client, number) => {
    const { endS, firstTokenS, word } = outcomes[number]!
    const tpotS = (endS - firstTokenS) / (OUTPUT_TOKENS - 1)
    return { client, outcome: word, ttftS: firstTokenS - client.atS, tpotS }
  })
}

const featuresOf = ({ promptTokens }: Client, number: number): RequestFeatures => {
  const chain = chainOf([{ id: number, tokens: promptTokens }], 16)
  return {
    model: "m",
    promptTokens,
    outputTokensMax: OUTPUT_TOKENS,
    generates: true,
    streams: true,
    chain: () => chain,
    tokensPerBlock: () => 16,
    sessionHash: 0
  }
}

/** New prompts of 300 to 3,000 tokens at random times, from `fromS` on: a tenth in a high band, ten of fourteen of one flow. */
export const clientsOf = (
  ratePerS: number,
  fromS: number,
  untilS: number,
  seed: number,
  leavesAfterS = 10
): ReadonlyArray<Client> => {
  const random = new SeededRandom(seed)
  const made: Array<Client> = []
  for (let atS = fromS + random.exponential(1 / ratePerS); atS < untilS; atS += random.exponential(1 / ratePerS)) {
    const promptTokens = Math.round(300 * 10 ** random.uniform())
    const isHigh = random.uniform() < 0.1
    const place = random.below(14)
    made.push({
      atS,
      promptTokens,
      priority: isHigh ? 10 : 0,
      flow: isHigh ? "high" : place < 10 ? "heavy" : `light-${place}`,
      leavesAfterS
    })
  }
  return made
}
