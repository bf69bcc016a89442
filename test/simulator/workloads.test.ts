import { describe, expect, test } from "bun:test"
import { tokensOf } from "../../src/simulator/promptChain.ts"
import type { PlannedRequest } from "../../src/simulator/Workload.ts"
import { workloads } from "../../src/simulator/workloads/catalog.ts"

/** All that would be asked if every answer came at once. */
const plannedOf = (name: string, load: number, durationS: number | undefined, stage = 0) => {
  const { arrivals } = workloads.get(name)!.make({ load, seed: 2, durationS }).stages[stage]!()
  const list: Array<PlannedRequest> = []
  for (let next = arrivals.next(); next.done !== true; next = arrivals.next()) {
    const first = next.value
    for (let each: PlannedRequest | undefined = first; each !== undefined; each = each.next?.()) {
      list.push(each)
      if (list.length > 200_000) throw new Error("the workload has no end")
    }
  }
  return list
}

const meanOf = (values: ReadonlyArray<number>) => values.reduce((sum, value) => sum + value, 0) / values.length

test.each([...workloads.keys()])("%s gives its arrivals in order of time", (name) => {
  const { defaultLoad, make } = workloads.get(name)!
  const { arrivals } = make({ load: defaultLoad, seed: 2 }).stages[0]!()
  const times: Array<number> = []
  for (let next = arrivals.next(); next.done !== true; next = arrivals.next()) times.push(next.value.afterS)
  expect(times.length).toBeGreaterThan(30)
  expect(times).toEqual(times.toSorted((one, other) => one - other))
})

describe("open workloads", () => {
  test.each([["b2b", 16], ["zipf", 30], ["burst", 20], ["chat", 40], ["mixed", 12]])(
    "%s asks as many requests a second as its load says",
    (name, load) => {
      const count = plannedOf(name, load, 1000).length
      expect(Math.abs(count / (load * 1000) - 1)).toBeLessThan(0.06)
    }
  )

  test("the ladder has 17 stages at the published rates", () => {
    const counts = Array.from({ length: 17 }, (_, stage) => plannedOf("ladder", 1, undefined, stage).length)
    const published = [750, 60, 200, 300, 760, 748, 750, 750, 735, 1520, 1548, 1518, 1470, 1508, 1485, 1482, 1500]
    counts.forEach((count, stage) =>
      expect(Math.abs(count - published[stage]!)).toBeLessThan(5 * Math.sqrt(published[stage]!))
    )
  })

  test("the ladder asks each of its 750 prompts before it repeats one", () => {
    const prompts = plannedOf("ladder", 1, undefined, 9).slice(0, 750).map(({ prompt }) =>
      prompt.map(({ id }) => id).join()
    )
    expect(new Set(prompts).size).toBe(750)
    expect(new Set(prompts.map((ids) => ids.split(",")[0])).size).toBe(150)
  })

  test("a burst has six times the rate of the quiet time before it", () => {
    const requests = plannedOf("burst", 20, 1000)
    const inBurst = requests.filter(({ afterS }) => afterS % 50 >= 40).length
    const rates = [inBurst / (1000 / 5), (requests.length - inBurst) / (1000 * 4 / 5)]
    expect(rates[0]! / rates[1]!).toBeCloseTo(6, 0)
  })

  test("zipf asks for its first prefix far more often than for its hundredth", () => {
    const prefixes = plannedOf("zipf", 30, 1000).map(({ prompt }) => prompt[0]!.id)
    const times = (id: number) => prefixes.filter((each) => each === id).length
    expect(times(0) / prefixes.length).toBeGreaterThan(0.07)
    expect(times(0) / times(99)).toBeGreaterThan(30)
  })
})

describe("conversations", () => {
  test.each(["chat", "mixed"])("%s repeats all that was said before in each turn", (name) => {
    for (const request of plannedOf(name, 5, 60)) {
      const following = request.next?.()
      if (following === undefined) continue
      const before = [...request.prompt, request.output].map(({ id }) => id)
      expect(following.prompt.slice(0, -1).map(({ id }) => id)).toEqual(before)
    }
  })

  test("mixed has prompts of a few hundred and of tens of thousands of tokens", () => {
    const lengths = plannedOf("mixed", 12, 300).map(({ prompt }) => tokensOf(prompt))
    expect(lengths.filter((tokens) => tokens < 3000).length / lengths.length).toBeGreaterThan(0.6)
    expect(lengths.filter((tokens) => tokens > 10_000).length / lengths.length).toBeGreaterThan(0.15)
  })
})

describe("closed loops", () => {
  /** The first requests of each user. */
  const rounds = (name: string, users: number, count: number) => {
    const { arrivals } = workloads.get(name)!.make({ load: users, seed: 2 }).stages[0]!()
    const list: Array<ReadonlyArray<PlannedRequest>> = []
    for (let next = arrivals.next(); next.done !== true; next = arrivals.next()) {
      const asked = [next.value]
      while (asked.length < count) asked.push(asked.at(-1)!.next!())
      list.push(asked)
    }
    return list
  }

  test("start as many users as the load says, and each goes on", () => {
    expect(rounds("codegen", 20, 30)).toHaveLength(20)
    expect(rounds("reason", 100, 3)).toHaveLength(100)
  })

  test("codegen has contexts that grow to tens of thousands of tokens", () => {
    const lengths = rounds("codegen", 20, 6).map((asked) => asked.map(({ prompt }) => tokensOf(prompt)))
    expect(meanOf(lengths.map((each) => each[0]!))).toBeGreaterThan(25_000)
    expect(meanOf(lengths.map((each) => Math.max(...each)))).toBeGreaterThan(40_000)
  })

  test("reason answers at length", () => {
    const outputs = rounds("reason", 100, 10).flat().map(({ output }) => output.tokens)
    expect(meanOf(outputs)).toBeGreaterThan(3000)
  })

  test("no two sessions share what is their own", () => {
    const own = rounds("reason", 50, 5).flat().map(({ prompt }) => prompt.at(-1)!.id)
    expect(new Set(own).size).toBe(own.length)
  })
})
