import { Either } from "effect"
import type { BlockChain } from "../src/core/BlockChain.ts"
import { hardwarePresets } from "../src/core/hardwarePresets.ts"
import { podAddress } from "../src/core/Pod.ts"
import type { RequestFeatures } from "../src/core/RequestFeatures.ts"
import { Scheduler } from "../src/core/Scheduler.ts"
import { makePolicy } from "../src/policies/registry.ts"
import type { BenchOptions } from "./Bench.ts"
import type { Flags } from "./flags.ts"

export const name = "pick"
export const claim =
  "a decision takes p99 <= 50 us (8 pods x 500 blocks) and <= 300 us (1,000 x 500), reservation included"

export const flags: Flags = {}

const BLOCK_TOKENS = 16
const PREFIX_GROUPS = 64

interface PickCase {
  readonly pods: number
  readonly blocks: number
  readonly p50Us: number
  readonly p99Us: number
}

/** Picks with everything the live gateway does in one: match, price, reserve, admit to the sketch; and the release. */
export const run = async (options: BenchOptions): Promise<object> => {
  const cases: Array<PickCase> = []
  for (const pods of [8, 100, 1000]) {
    for (const blocks of [16, 500, 8000]) {
      options.progress(`${pods} pods x ${blocks} blocks`)
      cases.push(measure(pods, blocks, options.quick ? 2_000 : 20_000))
      await Bun.sleep(0)
    }
  }
  return { cases, bytesPerMillionBlocks: bytesPerMillionBlocks(), growthStallMaxMs: growthStallMaxMs() }
}

const schedulerOf = (pods: number): Scheduler => {
  const constants = hardwarePresets["qwen3-32b-2xh100"]
  if (constants === undefined) throw new Error("the preset qwen3-32b-2xh100 is gone")
  const scheduler = new Scheduler({
    policy: Either.getOrThrow(makePolicy({ type: "marginal-cost" }, pods)),
    podsMax: pods,
    openRequestsMax: 16_384,
    modelsMax: 16,
    prefixEntriesMax: 8_000_000,
    initialOutputTokens: 256,
    random: Math.random
  })
  for (let i = 0; i < pods; i++) {
    const address = podAddress(`10.0.${i >> 8}.${i & 255}`, 8000, false)
    scheduler.join(address, constants)
    scheduler.describe(address.id, BLOCK_TOKENS, constants.kvCapacityTokens, ["m"])
    scheduler.observe(address.id, true, 0, 0, 0, 0)
  }
  return scheduler
}

let lanes = 0x9e3779b9
const nextLane = (): number => {
  lanes ^= lanes << 13
  lanes ^= lanes >>> 17
  lanes ^= lanes << 5
  return lanes >>> 0
}

/** A prompt: five sixths of it a prefix shared in its group, the rest its own. */
const chainOf = (group: BlockChain, blocks: number): BlockChain => {
  const shared = Math.floor((blocks * 5) / 6)
  const low = new Uint32Array(blocks)
  const high = new Uint32Array(blocks)
  low.set(group.low.subarray(0, shared))
  high.set(group.high.subarray(0, shared))
  for (let i = shared; i < blocks; i++) {
    low[i] = nextLane()
    high[i] = nextLane()
  }
  return { low, high, length: blocks }
}

const requestOf = (chain: BlockChain): RequestFeatures => ({
  model: "m",
  promptTokens: chain.length * BLOCK_TOKENS + 5,
  outputTokensMax: 256,
  generates: true,
  streams: true,
  chain: () => chain,
  tokensPerBlock: () => BLOCK_TOKENS,
  sessionHash: 0
})

const measure = (pods: number, blocks: number, picks: number): PickCase => {
  const scheduler = schedulerOf(pods)
  const groups = Array.from({ length: PREFIX_GROUPS }, (): BlockChain => ({
    low: Uint32Array.from({ length: blocks }, nextLane),
    high: Uint32Array.from({ length: blocks }, nextLane),
    length: blocks
  }))
  const counted = blocks >= 8000 ? Math.ceil(picks / 10) : picks
  const warmUp = Math.max(500, Math.ceil(counted / 4))
  const open: Array<number> = []
  const tookUs = new Float64Array(counted)
  let nowS = 0
  for (let i = 0; i < warmUp + counted; i++) {
    const group = groups[Math.floor(Math.random() * PREFIX_GROUPS)]
    if (group === undefined) continue
    const request = requestOf(chainOf(group, blocks))
    nowS += 0.01
    const startNs = Bun.nanoseconds()
    const placement = scheduler.pick(request, [], nowS)
    const endNs = Bun.nanoseconds()
    if (i >= warmUp) tookUs[i - warmUp] = (endNs - startNs) / 1000
    if (typeof placement === "string") throw new Error(`refused: ${placement}`)
    scheduler.firstToken(placement.reservation, nowS)
    open.push(placement.reservation)
    if (open.length > 4 * pods) scheduler.end(open.shift() ?? -1, { outputTokens: 200 }, nowS)
  }
  tookUs.sort()
  const at = (share: number) => Math.round((tookUs[Math.floor(share * (counted - 1))] ?? 0) * 10) / 10
  return { pods, blocks, p50Us: at(0.5), p99Us: at(0.99) }
}

/** One million distinct blocks, spread over eight pods that are big enough to hold them. */
const fillMillion = (onAdmit: (tookMs: number) => void): Scheduler => {
  const scheduler = schedulerOf(8)
  for (let i = 0; i < 8; i++) {
    const id = podAddress(`10.0.0.${i}`, 8000, false).id
    scheduler.describe(id, BLOCK_TOKENS, 125_000 * BLOCK_TOKENS + 100_000, ["m"])
  }
  const blocks = 500
  for (let i = 0; i < 2000; i++) {
    const chain: BlockChain = {
      low: Uint32Array.from({ length: blocks }, nextLane),
      high: Uint32Array.from({ length: blocks }, nextLane),
      length: blocks
    }
    const pod = podAddress(`10.0.0.${i % 8}`, 8000, false).id
    const others = Array.from({ length: 8 }, (_, other) => podAddress(`10.0.0.${other}`, 8000, false).id)
      .filter((id) => id !== pod)
    const startNs = Bun.nanoseconds()
    const placement = scheduler.pick(requestOf(chain), others, i)
    onAdmit((Bun.nanoseconds() - startNs) / 1e6)
    if (typeof placement === "string") throw new Error(`refused: ${placement}`)
    scheduler.firstToken(placement.reservation, i)
    scheduler.end(placement.reservation, {}, i)
  }
  return scheduler
}

const bytesPerMillionBlocks = (): number => fillMillion(() => {}).sketchBytes

const growthStallMaxMs = (): number => {
  let worstMs = 0
  fillMillion((tookMs) => {
    worstMs = Math.max(worstMs, tookMs)
  })
  return Math.round(worstMs * 100) / 100
}
