import type { PodActorOptions } from "../../actors/PodActorOptions.ts"
import { podActorDefaults } from "../../actors/PodActorOptions.ts"
import type { BreakerOptions } from "../../src/core/Breaker.ts"
import type { EngineConstants } from "../../src/core/EngineConstants.ts"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import type { SeededRandom } from "../../src/simulator/SeededRandom.ts"

/** What a seed makes of the fleet, the gateway's settings and the traffic. */
export interface WorldPlan {
  readonly podCount: number
  /** Of each pod; some differ. */
  readonly kvCapacityTokens: ReadonlyArray<number>
  readonly blockSizeTokens: ReadonlyArray<number>
  readonly maxNumSeqs: number
  readonly servesRare: ReadonlyArray<boolean>
  readonly policy: string
  readonly podsMax: number
  readonly openRequestsMax: number
  readonly prefixEntriesMax: number
  readonly mailboxCapacity: number
  readonly waits: boolean
  readonly waitingMax: number
  readonly waitingBytesMax: number
  readonly waitMaxS: number
  readonly podlessS: number
  readonly breaker: BreakerOptions
  readonly pod: PodActorOptions
  readonly drainGraceMs: number
  readonly snapshotIntervalMs: number
  readonly retriesMax: number
  readonly retryShare: number
  readonly retryBurst: number
  readonly rescuesMax: number
  /** Token ids of all streams together; the small one lacks room for some. */
  readonly rescueBytesMax: number
  readonly requestTimeoutMs: number
  /** The small one is soon full. */
  readonly snapshotBytesMax: number
  readonly connectTimeoutMs: number
  readonly firstByteTimeoutMs: number
  readonly silenceTimeoutMs: number
  readonly requestsPerS: number
  readonly requests: number
  /** Between two faults of some pod, and between two things that happen to the gateway, on average. */
  readonly podFaultEveryS: number
  readonly gatewayFaultEveryS: number
}

export const policies = [
  "marginal-cost",
  "marginal-cost",
  "least-ttft",
  "kv-aware",
  "power-of-two",
  "round-robin",
  "random",
  "chwbl",
  "sglang-cache-aware"
] as const

const breakerOptions: BreakerOptions = {
  failuresInRow: 5,
  failureRatio: 0.5,
  requestsMin: 20,
  windowS: 10,
  openMinS: 1,
  openMaxS: 8
}

export const SNAPSHOT_BYTES_AMPLE = 64 * 1024 * 1024
export const RESCUE_BYTES_AMPLE = 16 * 1024 * 1024

export const constants: EngineConstants = hardwarePresets["qwen3-32b-2xh100"]!

export const planOf = (random: SeededRandom, requests: number): WorldPlan => {
  const podCount = 2 + random.below(6)
  const each = <A>(draw: (index: number) => A): ReadonlyArray<A> => Array.from({ length: podCount }, (_, i) => draw(i))
  const oneIn = (count: number): boolean => random.below(count) === 0
  const kvCapacityTokens = 24_000 + 4000 * random.below(20)
  const blockSizeTokens = oneIn(3) ? 32 : 16
  return {
    podCount,
    kvCapacityTokens: each(() => oneIn(5) ? 24_000 : kvCapacityTokens),
    blockSizeTokens: each(() => oneIn(6) ? 16 : blockSizeTokens),
    maxNumSeqs: oneIn(3) ? 8 : 64,
    servesRare: each((index) => index === 0 || oneIn(2)),
    policy: policies[random.below(policies.length)]!,
    podsMax: oneIn(8) ? Math.max(2, podCount - 1) : podCount + 3,
    openRequestsMax: oneIn(4) ? 24 : 512,
    prefixEntriesMax: oneIn(4) ? 2048 : 65_536,
    mailboxCapacity: oneIn(4) ? 8 : 1024,
    waits: !oneIn(6),
    waitingMax: oneIn(3) ? 16 : 400,
    waitingBytesMax: oneIn(4) ? 200_000 : 64 * 1024 * 1024,
    waitMaxS: random.between(2, 30),
    podlessS: oneIn(2) ? random.between(0, 10) : 0,
    breaker: breakerOptions,
    pod: {
      ...podActorDefaults,
      scrapeIntervalMs: random.between(200, 1000),
      scrapeTimeoutMs: random.between(300, 1000),
      modelsEveryScrapes: 5 + random.below(25)
    },
    drainGraceMs: random.between(500, 20_000),
    snapshotIntervalMs: random.between(500, 8000),
    retriesMax: random.below(4),
    retryShare: oneIn(3) ? 0.02 : 0.2,
    retryBurst: oneIn(3) ? 1 : 20,
    rescuesMax: random.below(4),
    rescueBytesMax: oneIn(8) ? 3000 : RESCUE_BYTES_AMPLE,
    requestTimeoutMs: oneIn(4) ? random.between(10_000, 60_000) : 600_000,
    snapshotBytesMax: oneIn(8) ? 65_536 : SNAPSHOT_BYTES_AMPLE,
    connectTimeoutMs: random.between(300, 3000),
    firstByteTimeoutMs: random.between(4000, 30_000),
    silenceTimeoutMs: random.between(2000, 15_000),
    requestsPerS: podCount * random.between(0.4, 4),
    requests,
    podFaultEveryS: random.between(0.7, 6),
    gatewayFaultEveryS: random.between(2, 10)
  }
}
