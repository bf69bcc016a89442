import { describe, expect, test } from "bun:test"
import type { BlockChain } from "../../src/core/BlockChain.ts"
import { PrefixIndex } from "../../src/core/prefix/PrefixIndex.ts"
import { ShadowKv } from "../../src/core/prefix/ShadowKv.ts"
import type { EngineRequest } from "../../src/emulator/engine/EngineRequest.ts"
import { tokenChain } from "../../src/emulator/engine/tokenChain.ts"
import { blockSizeTokens, engineOf, requestOf } from "./engineFixture.ts"

interface Lease {
  readonly lease: number
  readonly promptChain: BlockChain
  readonly predictedTokens: number
}

/** Prompt tokens hit in the engine and foretold by its shadow, over requests that share six long prefixes. */
const compare = (requestCount: number, gapS: number) => {
  const engine = engineOf({ kvCapacityTokens: 120 * 16, batchedTokensMax: 512 })
  const shadow = new ShadowKv(0, new PrefixIndex({ rowsMax: 1, entriesMax: 10_000 }), engine.pool.usableBlocks)
  const leases = new Map<string, Lease>()
  const requests: Array<EngineRequest<string>> = []
  let state = 1
  const random = (limit: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return Math.floor(((state >>> 8) / 2 ** 24) * limit)
  }
  let busyUntilS = 0
  const advance = (untilS: number) => {
    while (engine.hasWork && busyUntilS < untilS) {
      const outcome = engine.stepMany(busyUntilS, untilS)
      busyUntilS = outcome.endS
      for (const { owner } of outcome.firstTokens) {
        const { lease, promptChain } = leases.get(owner)!
        shadow.prefilled(lease, promptChain, busyUntilS)
      }
      for (const { owner, outputTokens, promptTokens } of outcome.finished) {
        // The answer begins in the prompt's last, partly filled block, and its last token has no KV.
        const outputBlocks = Math.ceil((promptTokens % blockSizeTokens + outputTokens - 1) / blockSizeTokens)
        shadow.release(leases.get(owner)!.lease, true, outputBlocks, busyUntilS)
      }
    }
  }
  for (let index = 0; index < requestCount; index++) {
    const nowS = index * gapS
    advance(nowS)
    busyUntilS = Math.max(busyUntilS, nowS)
    const promptTokens = 100 + 16 * random(20)
    const input = requestOf(`${index}`, 100_000 * random(6), promptTokens, 20 + random(60))
    const promptChain: BlockChain = { ...input.chain, length: Math.floor(promptTokens / blockSizeTokens) }
    const hitsMax = Math.floor((promptTokens - 1) / blockSizeTokens)
    const predictedTokens = Math.min(shadow.matchBlocks(promptChain), hitsMax) * blockSizeTokens
    leases.set(input.owner, { lease: shadow.admit(promptChain, 1, nowS), promptChain, predictedTokens })
    requests.push(engine.submit({ ...input, chain: outputApart(input.chain, promptChain.length, index) }, nowS))
  }
  advance(Infinity)
  const sum = (values: ReadonlyArray<number>) => values.reduce((total, value) => total + value, 0)
  return {
    hitTokens: sum(requests.map((request) => request.cachedTokens)),
    wrongTokens: sum(
      requests.map((request) => Math.abs(request.cachedTokens - leases.get(request.owner)!.predictedTokens))
    ),
    evictions: engine.pool.evictions
  }
}

/** The chain with output blocks that no other request has: nobody asks for these answers again. */
const outputApart = (chain: BlockChain, promptBlocks: number, index: number): BlockChain => {
  const own = tokenChain(Array.from({ length: chain.length * blockSizeTokens }, (_, at) => at), blockSizeTokens, index)
  const { low, high } = own
  low.set(chain.low.subarray(0, promptBlocks))
  high.set(chain.high.subarray(0, promptBlocks))
  return { low, high, length: chain.length }
}

describe("the shadow that the gateway keeps of a pod, against the engine itself", () => {
  test("foretells every hit of requests that follow each other, evictions included", () => {
    const { hitTokens, wrongTokens, evictions } = compare(400, 100)
    expect(evictions).toBeGreaterThan(2000)
    expect(hitTokens).toBeGreaterThan(50_000)
    expect(wrongTokens).toBe(0)
  })

  test("foretells all but a few when several run at once in a cache of five prompts", () => {
    const { hitTokens, wrongTokens } = compare(400, 0.4)
    expect(wrongTokens).toBeLessThan(0.03 * hitTokens)
  })
})
