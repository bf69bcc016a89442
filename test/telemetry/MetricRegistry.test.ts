import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { MetricRegistry } from "../../src/telemetry/MetricRegistry.ts"
import { breachesOf, valueOf } from "./page.ts"

describe("a metric", () => {
  test("of each kind is written as the format wants it", () => {
    const registry = new MetricRegistry(100)
    registry.counter("a_total", "Things,\nwith a \\ line.", ["kind"]).child("x").add(3)
    registry.gauge("b", "Level.").child().set(-1.5)
    const histogram = registry.histogram("c_seconds", "Time.", [0.1, 1], ["route"]).child("/v1")
    for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe(value)
    registry.collected("d", "Elsewhere.", "gauge", ["pod"], (emit) => emit(["a:1"], Number.NaN))
    expect(registry.render()).toBe([
      "# HELP a_total Things,\\nwith a \\\\ line.",
      "# TYPE a_total counter",
      "a_total{kind=\"x\"} 3",
      "# HELP b Level.",
      "# TYPE b gauge",
      "b -1.5",
      "# HELP c_seconds Time.",
      "# TYPE c_seconds histogram",
      "c_seconds_bucket{route=\"/v1\",le=\"0.1\"} 2",
      "c_seconds_bucket{route=\"/v1\",le=\"1\"} 3",
      "c_seconds_bucket{route=\"/v1\",le=\"+Inf\"} 4",
      "c_seconds_sum{route=\"/v1\"} 7.65",
      "c_seconds_count{route=\"/v1\"} 4",
      "# HELP d Elsewhere.",
      "# TYPE d gauge",
      "d{pod=\"a:1\"} NaN",
      ""
    ].join("\n"))
    expect(breachesOf(registry.render())).toEqual([])
  })

  test("with any text for labels is read back as it was", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 50 }), fc.double({ noNaN: true, noDefaultInfinity: true }), (text, value) => {
        const registry = new MetricRegistry(10)
        registry.gauge("g", "G.", ["text", "other"]).child(text, "z").set(value)
        expect(valueOf(registry.render(), "g", { text, other: "z" })).toBe(value === 0 ? 0 : value)
        expect(breachesOf(registry.render())).toEqual([])
      })
    )
  })

  test("has one child for the same label values", () => {
    const counter = new MetricRegistry(10).counter("a_total", "A.", ["x"])
    expect(counter.child("1")).toBe(counter.child("1"))
    expect(counter.child("1")).not.toBe(counter.child("2"))
  })

  test("beyond its series counts for other", () => {
    const registry = new MetricRegistry(3)
    const counter = registry.counter("a_total", "A.", ["model"])
    for (let model = 0; model < 1000; model++) counter.child(`model-${model}`).add()
    expect(registry.render().split("\n").length).toBe(7)
    expect(valueOf(registry.render(), "a_total", { model: "other" })).toBe(997)
  })

  test("collected from elsewhere ends at the limit of series", () => {
    const registry = new MetricRegistry(3)
    registry.collected("d", "D.", "gauge", ["pod"], (emit) => {
      for (let pod = 0; pod < 100; pod++) emit([String(pod)], pod)
    })
    expect(registry.render().split("\n").length).toBe(6)
  })

  test("of a wrong or taken name is refused", () => {
    const registry = new MetricRegistry(10)
    registry.gauge("g", "G.")
    expect(() => registry.gauge("g", "G.")).toThrow("the metric g exists already")
    expect(() => registry.gauge("g-h", "G.")).toThrow("\"g-h\" is no name of a metric or label")
    expect(() => registry.gauge("h", "H.", ["a b"])).toThrow("\"a b\" is no name of a metric or label")
  })
})
