import { describe, expect, test } from "bun:test"
import { FeatureWorkshop } from "../../src/http/features/PromptFeatures.ts"
import { readRequest } from "../../src/http/features/readRequest.ts"
import { frontDefaults } from "../../src/http/FrontOptions.ts"
import { proxyRoutes } from "../../src/http/routes.ts"

const workshop = new FeatureWorkshop(8)
const blocksOf = (path: string, body: Readonly<Record<string, unknown>>): string => {
  const route = proxyRoutes.find((each) => each.path === path)
  if (route === undefined) throw new Error(path)
  const bytes = new TextEncoder().encode(JSON.stringify({ model: "m", ...body }))
  const { high, low } = readRequest(route, new Headers(), bytes, frontDefaults, workshop).features.chain(4)
  return `${low.join()} ${high.join()}`
}
const long = "the quick brown fox jumps over the lazy dog ".repeat(8)

describe("what other routers took for the same prompt is told apart:", () => {
  test("conversations that part after their first message", () => {
    const messages = (second: string) => [{ role: "system", content: long }, { role: "user", content: second + long }]
    expect(blocksOf("/v1/chat/completions", { messages: messages("one ") })).not.toBe(
      blocksOf("/v1/chat/completions", { messages: messages("two ") })
    )
  })

  test("prompts of token ids that are equally long", () => {
    const ids = (first: number) => Array.from({ length: 64 }, (_, index) => first + index)
    expect(blocksOf("/v1/completions", { prompt: ids(1) })).not.toBe(blocksOf("/v1/completions", { prompt: ids(900) }))
  })

  test("prompts in whose text a user is written", () => {
    const prompt = (rest: string) => `{"user":"me"} ${rest.repeat(40)}`
    expect(blocksOf("/v1/completions", { prompt: prompt("one ") })).not.toBe(
      blocksOf("/v1/completions", { prompt: prompt("two ") })
    )
  })

  test("a name of a user in the text and one beside it", () => {
    const session = (body: Readonly<Record<string, unknown>>): number => {
      const bytes = new TextEncoder().encode(JSON.stringify({ model: "m", ...body }))
      return readRequest(proxyRoutes[1]!, new Headers(), bytes, frontDefaults, workshop).features.sessionHash
    }
    expect(session({ prompt: "{\"session_id\":\"a\"}" })).toBe(0)
    expect(session({ prompt: "x", session_id: "a" })).not.toBe(0)
  })
})
