import { describe, expect, test } from "bun:test"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { podAddress } from "../../src/core/Pod.ts"
import type { RequestFeatures } from "../../src/core/RequestFeatures.ts"
import type { Scheduler } from "../../src/core/Scheduler.ts"
import { type Dispatch, Gateways } from "../../src/simulator/Gateways.ts"
import { chainOf } from "../../src/simulator/promptChain.ts"
import { policyOf, requestOf, schedulerOf } from "../policies/fleet.ts"

const constants = { ...hardwarePresets["qwen3-32b-2xh100"]!, kvCapacityTokens: 100_000 }
const addresses = [0, 1, 2].map((index) => podAddress(`pod-${index}`, 8000, false))

const gateway = (): Scheduler => schedulerOf(addresses, { policy: policyOf({ type: "marginal-cost" }) }, constants)

const request: RequestFeatures = {
  ...requestOf(1600),
  outputTokensMax: 100,
  chain: (blockSizeTokens) => chainOf([{ id: 1, tokens: 1600 }], blockSizeTokens)
}

const asking = { number: 0, features: request, excluded: [] }

const loadOf = ({ table }: Scheduler) => addresses.map((_, row) => [table.prefilling[row], table.decoding[row]])

describe("gateways that share their state", () => {
  const world = () => {
    const schedulers = [gateway(), gateway()] as const
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
  const schedulers = [gateway(), gateway()]
  const gateways = new Gateways(schedulers, addresses, undefined, undefined)
  gateways.pick(0, asking, 1)
  gateways.hearNext(2)
  expect(schedulers.map(({ openRequests }) => openRequests)).toEqual([1, 0])
})
