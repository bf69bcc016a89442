import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { KeyLimited, QueueRefused, UnknownModel } from "../../src/errors.ts"
import { makeRefusalLog } from "../../src/telemetry/refusalLog.ts"
import { SeldomLog } from "../../src/telemetry/SeldomLog.ts"

const logged = () => {
  const lines: Array<string> = []
  const log = makeRefusalLog({
    info: (line) => void lines.push(`info ${line}`),
    warn: (line) => void lines.push(`warning ${line}`)
  })
  return { ...log, lines }
}

describe("the log of errors that clients are told", () => {
  test("has the first of a code at once, then one line a window with the count of the others", () => {
    const { lines, refused, tick } = logged()
    for (let request = 0; request < 1000; request++) refused(new QueueRefused("queue_full", "No room.", 3))
    expect(lines).toEqual(["warning clients are told 429 queue_full: No room."])
    tick()
    tick()
    tick()
    expect(lines.slice(1)).toEqual([
      "warning clients are told 429 queue_full: No room. (999 more since the last such line)"
    ])
    refused(new QueueRefused("queue_full", "No room.", 3))
    expect(lines).toHaveLength(3)
  })

  test("tells codes apart", () => {
    const { lines, refused } = logged()
    refused(new QueueRefused("queue_full", "No room.", 3))
    refused(new KeyLimited("requests_per_minute_exceeded", "Too many.", 3))
    expect(lines).toHaveLength(2)
  })

  test("has nothing of what a client wrote, and no further line in a line", () => {
    const { lines, refused } = logged()
    refused(new UnknownModel({ message: "The model `a secret` does not exist." }))
    refused(new QueueRefused("queue_full", "a\n2026-11-22 error forged", 3))
    expect(lines).toEqual([
      "info clients are told 404 model_not_found",
      "warning clients are told 429 queue_full: a 2026-11-22 error forged"
    ])
  })
})

test("a seldom log loses no line: those that were written and those that were counted make up all", () => {
  const steps = fc.array(fc.constantFrom("a", "b", "tick"), { maxLength: 200 })
  fc.assert(fc.property(steps, (steps) => {
    const counted = { a: 0, b: 0 }
    const linesInWindow = { a: 0, b: 0 }
    const log = new SeldomLog<"a" | "b">({
      write: (kind, _, more) => {
        counted[kind] += more === 0 ? 1 : more
        expect(++linesInWindow[kind]).toBeLessThanOrEqual(2)
      }
    })
    for (const step of steps) {
      if (step === "a" || step === "b") log.line(step, () => "text")
      else {
        linesInWindow.a = linesInWindow.b = 0
        log.tick()
      }
    }
    log.tick()
    expect(counted).toEqual({
      a: steps.filter((step) => step === "a").length,
      b: steps.filter((step) => step === "b").length
    })
  }))
})
