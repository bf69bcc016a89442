import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { modelRewrites, type RewriteSet } from "../../src/core/ModelRewrite.ts"

const set = (name: string, createdAt: string, ...rules: RewriteSet["rules"]): RewriteSet => ({ name, createdAt, rules })
const to = (model: string, weight = 0) => ({ model, weight })

describe("the model for a name", () => {
  test("is the name itself where no rule fits", () => {
    expect(modelRewrites([]).targetOf("a", 0)).toBeUndefined()
    const view = modelRewrites([set("x", "1", { models: ["a"], targets: [to("b")] })])
    expect(view.targetOf("c", 0)).toBeUndefined()
  })

  test("comes from an exact rule before a general one, whatever their age", () => {
    const view = modelRewrites([
      set("general", "1", { models: [], targets: [to("g")] }),
      set("exact", "2", { models: ["a", "b"], targets: [to("e")] })
    ])
    expect(["a", "b", "c"].map((name) => view.targetOf(name, 0))).toEqual(["e", "e", "g"])
  })

  test("comes from the older object, then from the first rule in it, then from the first name", () => {
    const view = modelRewrites([
      set("young", "2026-02-01T00:00:00Z", { models: ["a"], targets: [to("young")] }),
      set("old-b", "2026-01-01T00:00:00Z", { models: ["a"], targets: [to("second object")] }),
      set("old-a", "2026-01-01T00:00:00Z", { models: ["a"], targets: [to("first")] }, {
        models: ["a"],
        targets: [to("second rule")]
      })
    ])
    expect(view.targetOf("a", 0)).toBe("first")
  })

  test("is drawn by weight; without weights all share alike", () => {
    const view = modelRewrites([
      set("x", "1", { models: ["w"], targets: [to("one", 1), to("three", 3)] }, {
        models: ["u"],
        targets: [to("one"), to("two")]
      })
    ])
    expect([0, 0.24, 0.26, 0.999].map((random) => view.targetOf("w", random))).toEqual(["one", "one", "three", "three"])
    expect([0, 0.49, 0.5, 0.999].map((random) => view.targetOf("u", random))).toEqual(["one", "one", "two", "two"])
  })

  test("is one of the targets for every draw, never one of weight 0 beside others", () => {
    const weights = fc.array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1, maxLength: 8 })
    fc.assert(fc.property(weights, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (given, random) => {
      const targets = given.map((weight, index) => to(String(index), weight))
      const model = modelRewrites([set("x", "1", { models: [], targets })]).targetOf("any", random)
      expect(targets.some((target) => target.model === model)).toBe(true)
      if (given.some((weight) => weight > 0)) expect(given[Number(model)]).toBeGreaterThan(0)
    }))
  })
})
