import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { chatTokens } from "../../src/emulator/chatTemplate.ts"
import { LoremText } from "../../src/emulator/LoremText.ts"
import { Tokenizer } from "../../src/emulator/Tokenizer.ts"

const tokenizer = new Tokenizer()

describe("Tokenizer", () => {
  test("any text comes back from its tokens", () => {
    fc.assert(fc.property(fc.fullUnicodeString({ maxLength: 60 }), (text) => {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
    }))
  })

  test("ASCII takes four characters a token", () => {
    expect(tokenizer.encode("abcdefghi").length).toBe(3)
  })

  test("ids are positive 32-bit integers, and different pieces have different ids", () => {
    fc.assert(fc.property(fc.fullUnicodeString(), fc.fullUnicodeString(), (left, right) => {
      const [a, b] = [tokenizer.encode(left), tokenizer.encode(right)]
      for (const token of a) expect(token > 15 && token < 2 ** 31).toBe(true)
      if (left !== right) expect(a).not.toEqual(b)
    }))
  })

  test("ids that no text has decode to nothing", () => {
    expect(tokenizer.decode([0, 3, -5, 2 ** 40, 1.5])).toBe("")
  })
})

describe("LoremText", () => {
  test("is the same for the same seed and tokenizes back to its own pieces", () => {
    const lorem = new LoremText(tokenizer, 7)
    expect(new LoremText(tokenizer, 7).pieces).toEqual(lorem.pieces)
    expect(new LoremText(tokenizer, 8).pieces).not.toEqual(lorem.pieces)
    expect(tokenizer.encode(lorem.pieces.join(""))).toEqual([...lorem.tokens])
  })
})

describe("chatTokens", () => {
  const turns = [{ role: "user", content: "Hello there" }]

  test("a later turn begins with all the tokens of the turn before and of its answer", () => {
    const first = chatTokens(tokenizer, turns, [], "m")
    const answer = tokenizer.encode("Lorem ipsum. ")
    const later = [...turns, { role: "assistant", content: "Lorem ipsum. " }, { role: "user", content: "And?" }]
    const second = chatTokens(tokenizer, later, [], "m")
    expect(second.slice(0, first.length + answer.length)).toEqual([...first, ...answer])
  })

  test("text parts count like one string, and tools are part of the prompt", () => {
    const parts = [{ role: "user", content: [{ type: "text", text: "Hello there" }] }]
    expect(chatTokens(tokenizer, parts, [], "m")).toEqual(chatTokens(tokenizer, turns, [], "m"))
    expect(chatTokens(tokenizer, turns, [{ name: "f" }], "m")).not.toEqual(chatTokens(tokenizer, turns, [], "m"))
  })
})
