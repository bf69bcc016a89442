import { describe, expect, test } from "bun:test"
import { Duration, Either, FastCheck as fc, Schema } from "effect"
import { BytesText } from "../../config/BytesText.ts"
import { didYouMean, editDistance } from "../../config/didYouMean.ts"
import { DurationOrZero, DurationText } from "../../config/DurationText.ts"

const durationOf = (input: unknown): number | string =>
  Either.match(Schema.decodeUnknownEither(DurationText)(input), {
    onLeft: (error) => error.message,
    onRight: Duration.toMillis
  })

const bytesOf = (input: unknown): number | string =>
  Either.match(Schema.decodeUnknownEither(BytesText)(input), { onLeft: (error) => error.message, onRight: (n) => n })

describe("durations", () => {
  test.each([
    ["250 millis", 250],
    ["1 milli", 1],
    ["5s", 5000],
    ["5 s", 5000],
    ["1 second", 1000],
    ["1.5 minutes", 90_000],
    ["2h", 7_200_000],
    [" 10 Seconds ", 10_000]
  ])("%j is %d ms", (text, millis) => expect(durationOf(text)).toBe(millis))

  test.each([5, "5", "s", "-1 s", "1 parsec", "", "1e3 s", "0 s", "25 days", "600 hours", null, { seconds: 1 }])(
    "%j is refused with a hint",
    (input) => {
      expect(durationOf(input)).toBeString()
      expect(durationOf(input)).toMatch(/write it with a unit|too (short|long)/)
    }
  )

  test.each([[0, 0], ["0", 0], ["0 s", 0], [" 0ms", 0], ["5 s", 5000]])(
    "%j is %d ms where none is allowed",
    (input, millis) => {
      expect(Duration.toMillis(Schema.decodeUnknownSync(DurationOrZero)(input))).toBe(millis)
    }
  )

  test.each([5, "5", "-1 s", null, "0.5 milli"])("%j is refused there too", (input) => {
    const decoded = Schema.decodeUnknownEither(DurationOrZero)(input)
    expect(Either.isLeft(decoded) && decoded.left.message).toMatch(/write it with a unit|too short/)
  })

  test("what is written back reads as the same duration", () => {
    expect(Schema.encodeSync(DurationOrZero)(Duration.zero)).toBe(0)
    fc.assert(fc.property(fc.integer({ min: 1, max: 576 * 3_600_000 }), (millis) => {
      const text = Schema.encodeSync(DurationText)(Duration.millis(millis))
      expect(durationOf(text)).toBe(millis)
    }))
  })
})

describe("sizes", () => {
  test.each([
    [1, 1],
    ["4096", 4096],
    ["64MiB", 64 * 1024 * 1024],
    ["64 mib", 64 * 1024 * 1024],
    ["500 KB", 500_000],
    ["1.5 GiB", 1.5 * 1024 ** 3]
  ])("%j is %d bytes", (input, bytes) => expect(bytesOf(input)).toBe(bytes))

  test.each([0, -1, 1.5, "1.0001 KB", "64 MOB", "MiB", "", true, null, Number.NaN, "9999999999 GiB"])(
    "%j is refused with a hint",
    (input) => expect(bytesOf(input)).toContain("is not a size; write a whole number of bytes")
  )
})

describe("near names", () => {
  test("a swap, a missing, a doubled and a wrong letter are one edit each", () => {
    expect(["itnerval", "intrval", "innterval", "intervol"].map((text) => editDistance(text, "interval"))).toEqual([
      1,
      1,
      1,
      1
    ])
  })

  test("distance is symmetric, zero only for equal names, and at most the longer length", () => {
    const word = fc.stringMatching(/^[a-z]{0,12}$/)
    fc.assert(fc.property(word, word, (a, b) => {
      const edits = editDistance(a, b)
      expect(edits).toBe(editDistance(b, a))
      expect(edits === 0).toBe(a === b)
      expect(edits).toBeLessThanOrEqual(Math.max(a.length, b.length))
    }))
  })

  test("one mistyped letter finds its name among the others", () => {
    const names = ["interval", "timeout", "failuresBeforeUnhealthy", "pageBytesMax", "modelsEveryScrapes"]
    fc.assert(fc.property(fc.constantFrom(...names), fc.nat(), (name, at) => {
      const index = at % name.length
      expect(didYouMean(`${name.slice(0, index)}_${name.slice(index + 1)}`, names)).toBe(name)
    }))
  })

  test("a beginning counts, a stranger does not", () => {
    expect(didYouMean("warn", ["debug", "warning"])).toBe("warning")
    expect(didYouMean("colour", ["debug", "warning"])).toBeUndefined()
  })
})
