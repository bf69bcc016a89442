import { expect, test } from "bun:test"
import { mustsOf } from "../../bench/overload/musts.ts"

const good = { goodputKept: 0.99, goodWorkKept: 0.96, highSlowdown: 1.4, heavyOverFair: 1.01 }

test("what holds is met, of the gateway with settings for the SLO more than of the one as shipped", () => {
  const musts = mustsOf([{ gateway: "warmroute", ...good }, { gateway: "warmroute-shipped", ...good }])
  expect(musts.map(({ met }) => met)).toEqual([true, true, true, true, true, true])
  expect(musts[0]?.text).toBe(
    "warmroute: goodput inside the SLO at the highest load is 99.0 % of its best, at least 95.0 %"
  )
})

test("each bound is missed on its own, and by a number that could not be measured", () => {
  const missedBy = (worse: Partial<typeof good>): ReadonlyArray<string> =>
    mustsOf([{ gateway: "warmroute", ...good, ...worse }]).flatMap(({ met, text }) => met ? [] : [text])
  expect(missedBy({ goodputKept: 0.94 })).toHaveLength(1)
  expect(missedBy({ goodWorkKept: 0.945 })).toEqual([
    "warmroute: the same by prefill work is 94.5 % of its best, at least 95.0 %"
  ])
  expect(missedBy({ highSlowdown: 1.51 })).toHaveLength(1)
  expect(missedBy({ heavyOverFair: 1.06 })).toHaveLength(1)
  expect(missedBy({ goodputKept: Number.NaN, highSlowdown: Number.NaN })).toHaveLength(2)
})

test("of other gateways nothing must hold", () => {
  expect(mustsOf([{ gateway: "smg-cache", ...good, goodputKept: 0 }])).toEqual([])
})
