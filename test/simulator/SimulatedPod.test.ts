import { describe, expect, test } from "bun:test"
import { podAddress } from "../../src/core/Pod.ts"
import { hardwarePresets } from "../../src/core/hardwarePresets.ts"
import { EngineModel } from "../../src/emulator/engine/EngineModel.ts"
import { chainOf } from "../../src/simulator/promptChain.ts"
import { SeededRandom } from "../../src/simulator/SeededRandom.ts"
import { SimulatedPod } from "../../src/simulator/SimulatedPod.ts"

const constants = { ...hardwarePresets["small"]!, kvCapacityTokens: 4000 }

interface Sent {
  readonly atS: number
  readonly owner: number
  readonly promptTokens: number
  readonly outputTokens: number
}

/** So many that the KV runs out and requests are preempted. */
const sent = (() => {
  const random = new SeededRandom(5)
  let atS = 0
  return Array.from({ length: 60 }, (_, owner): Sent => {
    atS += random.exponential(0.3)
    return {
      atS,
      owner,
      promptTokens: 1 + random.below(900),
      outputTokens: 1 + random.below(200)
    }
  })
})()

const inputOf = ({ outputTokens, owner, promptTokens }: Sent) => ({
  owner,
  promptTokens,
  outputTokens,
  chain: chainOf([{ id: owner % 5, tokens: promptTokens }, { id: 100 + owner, tokens: outputTokens }], 16)
})

/** The engine itself, one step after another. */
const stepByStep = () => {
  const engine = new EngineModel<number>({ constants, blockSizeTokens: 16, maxNumSeqs: 64, maxModelLen: 4000 })
  const ends: Array<string> = []
  let nowS = 0
  let next = 0
  while (next < sent.length || engine.hasWork) {
    if (!engine.hasWork) nowS = Math.max(nowS, sent[next]!.atS)
    // An arrival during a step takes part from the next one on.
    while (next < sent.length && sent[next]!.atS <= nowS) {
      engine.submit(inputOf(sent[next]!), sent[next]!.atS)
      next++
    }
    const outcome = engine.step(nowS)
    nowS = outcome.endS
    for (const request of outcome.finished) ends.push(`${request.owner} ${request.firstTokenS} ${nowS}`)
  }
  return { ends, preemptions: engine.counters.preemptions }
}

/** The pod, woken when it asks for it. */
const asPod = () => {
  const pod = new SimulatedPod<number>(podAddress("pod", 1, false), constants, 16, 64)
  const ends: Array<string> = []
  let next = 0
  for (;;) {
    const arrivalS = sent[next]?.atS ?? Number.POSITIVE_INFINITY
    if (arrivalS <= pod.wakeS && arrivalS < Number.POSITIVE_INFINITY) {
      expect(pod.submit(inputOf(sent[next++]!), arrivalS)).toBe(true)
    } else if (pod.wakeS < Number.POSITIVE_INFINITY) {
      const nowS = pod.wakeS
      for (const request of pod.wake().finished) ends.push(`${request.owner} ${request.firstTokenS} ${nowS}`)
      pod.begin(nowS)
    } else {
      return { ends, preemptions: pod.engine.counters.preemptions }
    }
  }
}

describe("a simulated pod", () => {
  test("ends every request at the same instant as the engine that takes each step alone", () => {
    const expected = stepByStep()
    expect(expected.preemptions).toBeGreaterThan(0)
    expect(asPod()).toEqual(expected)
  })

  test("shows the KV that a running stretch has taken so far", () => {
    const pod = new SimulatedPod<number>(podAddress("pod", 1, false), constants, 16, 64)
    pod.submit(inputOf({ atS: 0, owner: 1, promptTokens: 160, outputTokens: 1000 }), 0)
    const startS = pod.wakeS
    pod.wake()
    pod.begin(startS)
    const endS = pod.wakeS
    const before = pod.read(startS)
    const halfway = pod.read((startS + endS) / 2)
    expect(before).toMatchObject({ running: 1, waiting: 0 })
    expect(before.kvUsage * constants.kvCapacityTokens).toBeCloseTo(160, -1.5)
    expect(halfway.kvUsage * constants.kvCapacityTokens).toBeCloseTo(660, -2)
    pod.wake()
    pod.begin(endS)
    expect(pod.read(endS)).toEqual({ running: 0, waiting: 0, kvUsage: 0 })
    expect(pod.wakeS).toBe(Number.POSITIVE_INFINITY)
  })

  test("refuses what can never fit", () => {
    const pod = new SimulatedPod<number>(podAddress("pod", 1, false), constants, 16, 64)
    expect(pod.submit(inputOf({ atS: 0, owner: 1, promptTokens: 4000, outputTokens: 1 }), 0)).toBe(false)
    expect(pod.engine.hasWork).toBe(false)
  })
})

test("a crash takes the request along that the step under way would have finished", () => {
  const address = podAddress("pod-0", 8000, false)
  const pod = new SimulatedPod<number>(address, constants, 16, 8)
  const only: Sent = { atS: 0, owner: 7, promptTokens: 100, outputTokens: 1 }
  pod.submit(inputOf(only), 0)
  expect(pod.crash()).toEqual([7])
})
