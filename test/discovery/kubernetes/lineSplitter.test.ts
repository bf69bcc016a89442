import { expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { LineSplitter } from "../../../src/discovery/kubernetes/LineSplitter.ts"

const split = (bytes: Uint8Array, cuts: ReadonlyArray<number>, bytesMax: number) => {
  const lines: Array<string> = []
  let tooLong = 0
  const splitter = new LineSplitter(bytesMax, (line) => lines.push(line), () => tooLong++)
  const places = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
  let from = 0
  for (const place of places) {
    splitter.push(bytes.slice(from, place))
    from = place
  }
  return { lines, tooLong }
}

test("lines come whole however the bytes are cut, empty ones and the unfinished last one left out", () => {
  const line = fc.string({ unit: "grapheme", maxLength: 20 }).filter((text) => !text.includes("\n"))
  fc.assert(fc.property(fc.array(line), line, fc.array(fc.nat()), (texts, rest, cuts) => {
    const bytes = new TextEncoder().encode(texts.map((text) => `${text}\n`).join("") + rest)
    const wellFormed = texts.map((text) => text.toWellFormed()).filter((text) => text !== "")
    expect(split(bytes, cuts, 1000)).toEqual({ lines: wellFormed, tooLong: 0 })
  }))
})

test("a line above the limit is skipped and told of once, wherever it is cut", () => {
  const bytes = new TextEncoder().encode(`one\n${"x".repeat(50)}\ntwo\n`)
  fc.assert(fc.property(fc.array(fc.nat()), (cuts) => {
    expect(split(bytes, cuts, 10)).toEqual({ lines: ["one", "two"], tooLong: 1 })
  }))
})
