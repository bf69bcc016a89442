import { describe, expect, test } from "bun:test"
import { Either } from "effect"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { podAddress } from "../../src/core/Pod.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import { Scheduler } from "../../src/core/Scheduler.ts"
import { makePolicy } from "../../src/policies/registry.ts"
import { type Dispatch, Gateways } from "../../src/simulator/Gateways.ts"
import { chainOf } from "../../src/simulator/promptChain.ts"

const constants = hardwarePresets["qwen3-32b-2xh100"]!
const addresses = [0, 1, 2].map((index) => podAddress(`pod-${index}`, 8000, false))

const schedulerOf = (): Scheduler => {
  const scheduler = new Scheduler({
    policy: Either.getOrThrow(makePolicy({ type: "marginal-cost" }, 3)),
    podsMax: 3,
    openRequestsMax: 16,
    modelsMax: 1,
    prefixEntriesMax: 10_000,
    initialOutputTokens: 100,
    random: () => 0.5
  })
  for (const address of addresses) {
    scheduler.join(address, constants)
    scheduler.describe(address.id, 16, 100_000, ["m"])
    scheduler.observe(address.id, true, 0, 0, 0, 0)
  }
  return scheduler
}

const request: RequestFeatures = {
  model: "m",
  promptTokens: 1600,
  outputTokensMax: 100,
  generates: true,
  streams: true,
  chain: (blockSizeTokens) => chainOf([{ id: 1, tokens: 1600 }], blockSizeTokens),
  tokensPerBlock: (blockSizeTokens) => blockSizeTokens,
  sessionHash: 0
}

const asking = { number: 0, features: request, excluded: [] }

const loadOf = ({ table }: Scheduler) => addresses.map((_, row) => [table.prefilling[row], table.decoding[row]])

describe("gateways that share their state", () => {
  const world = () => {
    const schedulers = [schedulerOf(), schedulerOf()] as const
    let announced = 0
    const gateways = new Gateways(schedulers, addresses, undefined, () => void announced++)
    return { schedulers, gateways, announced: () => announced }
  }

  test("follow each other's dispatch, first token and end once the news is there", () => {
    const { announced, gateways, schedulers: [first, second] } = world()
    const dispatch = gateways.pick(0, asking, 1) as Dispatch
    expect([announced(), second.openRequests]).toEqual([1, 0])
    gateways.hearNext(1.1)
    expect(loadOf(second)).toEqual(loadOf(first))
    expect(second.openRequests).toBe(1)
    gateways.firstToken(dispatch, 2)
    gateways.hearNext(2.1)
    expect(loadOf(second)).toEqual(loadOf(first))
    gateways.end(dispatch, 50, 3)
    gateways.hearNext(3.1)
    expect([first.openRequests, second.openRequests]).toEqual([0, 0])
    expect(second.outputLengths.expected("m", undefined)).toBe(first.outputLengths.expected("m", undefined))
  })

  test("know where the other has sent a prefix", () => {
    const { gateways } = world()
    const one = gateways.pick(0, asking, 1) as Dispatch
    gateways.hearNext(1.1)
    gateways.firstToken(one, 2)
    gateways.hearNext(2.1)
    const other = gateways.pick(1, asking, 3) as Dispatch
    expect(other.placement.address.id).toBe(one.placement.address.id)
    expect(other.placement.hitTokens).toBe(1599)
  })
})

test("gateways that share nothing know only what they sent themselves", () => {
  const schedulers = [schedulerOf(), schedulerOf()]
  const gateways = new Gateways(schedulers, addresses, undefined, undefined)
  gateways.pick(0, asking, 1)
  gateways.hearNext(2)
  expect(schedulers.map(({ openRequests }) => openRequests)).toEqual([1, 0])
})
