import { expect, test } from "bun:test"
import { type Explained, explanationText } from "../../src/cli/explanationText.ts"

const podOf = (id: string, held: { readonly pickShare?: number; readonly stalled?: boolean } = {}) => ({
  id,
  excluded: null,
  hitTokens: 0,
  uncachedTokens: 10,
  prefilling: 0,
  decoding: 0,
  values: {},
  ...held
})

const explained = (pods: Explained["pods"]): Explained => ({
  policy: "random",
  model: "m",
  promptTokens: 10,
  expectedOutputTokens: 5,
  picked: null,
  predictedTtftS: null,
  why: "chance",
  columns: [],
  pods
})

test("the text of an explanation says which pods get less than their cost says, and why", () => {
  const text = explanationText(explained([
    podOf("a:1", { pickShare: 0.25, stalled: false }),
    podOf("b:1", { pickShare: 1, stalled: true }),
    podOf("c:1", { pickShare: 1, stalled: false })
  ]))
  expect(text.split("\n").slice(-3)).toEqual([
    "held back",
    "  a:1 is in slow start: a candidate for 25 % of the picks",
    "  b:1 gives no first token: passed over while there are others"
  ])
})

test("the text has nothing to say of pods that are not held back, nor of a gateway that does not tell", () => {
  const text = explanationText(explained([podOf("a:1", { pickShare: 1, stalled: false }), podOf("b:1")]))
  expect(text).not.toContain("held back")
})
