import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { AnswerRenamer } from "../../src/http/AnswerRenamer.ts"

/** The text after renaming, cut into pieces before at these places. */
const renamed = (text: string, from: string, to: string, cuts: ReadonlyArray<number> = []): string => {
  const bytes = Buffer.from(text)
  const places = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
  const renamer = new AnswerRenamer(from, to)
  const parts: Array<Uint8Array> = []
  let at = 0
  for (const place of places) {
    const piece = Uint8Array.from(bytes.subarray(at, place))
    parts.push(Uint8Array.from(renamer.push(piece)))
    piece.fill(0)
    at = place
  }
  return Buffer.concat([...parts, renamer.end() ?? new Uint8Array()]).toString()
}

describe("the name in an answer", () => {
  test("is the client's wherever the pod's stood", () => {
    const answer = "{\"id\":1,\"model\":\"a\",\"x\":{\"model\": \"a\"}}data: {\"model\":\"a\"}\n\n"
    expect(renamed(answer, "a", "longer")).toBe(
      "{\"id\":1,\"model\":\"longer\",\"x\":{\"model\":\"longer\"}}data: {\"model\":\"longer\"}\n\n"
    )
  })

  test("is left when it is another one, or a longer one", () => {
    const answer = "{\"model\":\"ab\",\"model\":\"b\",\"model\":7,\"models\":\"a\",\"name\":\"a\"}"
    expect(renamed(answer, "a", "x")).toBe(answer)
  })

  test("is left where it is a word of the answer", () => {
    const answer = JSON.stringify({ content: "write {\"model\":\"a\"} please" })
    expect(renamed(answer, "a", "x")).toBe(answer)
  })

  test("is quoted as JSON has it", () => {
    expect(renamed(`{"model":${JSON.stringify("a\"b")}}`, "a\"b", "c\\d")).toBe(`{"model":${JSON.stringify("c\\d")}}`)
  })

  test("is the same however the bytes are cut, and nothing else changes", () => {
    const piece = fc.constantFrom(
      "\"model\":",
      "\"",
      "a",
      "\"a\"",
      " ",
      "\"m",
      "ä",
      "\"model\": \"a\"",
      ",",
      "{",
      "data: "
    )
    fc.assert(
      fc.property(fc.array(piece), fc.array(fc.nat()), (pieces, cuts) => {
        const text = pieces.join("")
        const whole = text.replace(/"model": {0,4}"a"/g, "\"model\":\"xyz\"")
        expect(renamed(text, "a", "xyz", cuts)).toBe(whole)
      }),
      { numRuns: 1000 }
    )
  })

  test("is held back no longer than it may be the beginning of the name", () => {
    const renamer = new AnswerRenamer("a", "b")
    expect(Buffer.from(renamer.push(Buffer.from("data: {\"x\":1}\n\n"))).toString()).toBe("data: {\"x\":1}\n\n")
    expect(renamer.end()).toBeUndefined()
  })
})
