import { describe, expect, test } from "bun:test"
import { Prompts } from "../../bench/headline/prompts.ts"
import { benchStages } from "../../bench/headline/stages.ts"
import { stageResult } from "../../bench/headline/StageResult.ts"
import { Tokenizer } from "../../src/emulator/Tokenizer.ts"
import { ladderStages } from "../../src/simulator/workloads/ladder.ts"

describe("the headline bench", () => {
  test("comes down to means, nearest ranks, and tokens from the first arrival to the last", () => {
    const answers = [3, 1, 2, 4].map((ttftS) => ({
      arrivedS: 10 + ttftS,
      ttftS,
      endS: 20 + ttftS,
      promptTokens: 100,
      cachedTokens: 25 * ttftS,
      outputTokens: 13
    }))
    expect(stageResult(answers)).toEqual({
      requests: 4,
      ttftMean: 2.5,
      ttftP50: 2,
      ttftP90: 4,
      outputTokensPerSecond: 4,
      hitRatio: 250 / 400
    })
  })

  test("has a published figure for every stage of the ladder but the warm-up", () => {
    const rates = ladderStages.slice(1).map(([ratePerS]) => ratePerS)
    const [warmUp, ...stages] = benchStages(rates, 1, 0.1)
    expect(warmUp).toMatchObject({ ratePerS: 15, warmsUp: true, published: undefined })
    expect(stages.map(({ ratePerS }) => ratePerS)).toEqual(rates)
    for (const { published, requests } of stages) {
      expect(published?.blend.ttftMean).toBeGreaterThan(0.1)
      expect(requests.length).toBeGreaterThan(0)
    }
    expect(() => benchStages([21], 1, 1)).toThrow("no stage of 21")
  })

  test("writes prompts of as many tokens as the ladder's, the same for the same segments", () => {
    const prompts = new Prompts("m")
    const textOf = (id: number) => {
      const body = prompts.body([{ id, tokens: 600 }, { id: 900, tokens: 120 }], 10)
      return (JSON.parse(new TextDecoder().decode(body)) as { readonly prompt: string }).prompt
    }
    expect(new Tokenizer().encode(textOf(3))).toHaveLength(720)
    expect(textOf(3)).toBe(textOf(3))
    expect(textOf(3).slice(0, 64)).not.toBe(textOf(4).slice(0, 64))
    expect(textOf(3).slice(-480)).toBe(textOf(4).slice(-480))
  })
})
