import { describe, expect, test } from "bun:test"
import { podAddress } from "../../src/core/Pod.ts"
import { keyDigest } from "../../src/http/doors/clientKey.ts"
import { KeyRing } from "../../src/http/doors/KeyRing.ts"
import { requestWish, wishDefaults, type WishRules } from "../../src/http/features/requestWish.ts"
import { TestFront } from "./TestFront.ts"

const wishOf = (headers: Record<string, string>, rules: Partial<WishRules> = {}, keyName?: string) =>
  requestWish(new Headers(headers), 7, keyName, { ...wishDefaults, ...rules })

const priorities: Partial<WishRules> = { priorityOf: (objective) => objective === "urgent" ? 10 : undefined }

describe("the wish of a request", () => {
  test("without any header is an ordinary one, in the flow of all", () => {
    expect(wishOf({})).toEqual({ priority: 0, flow: "", bytes: 7, waitMaxS: undefined })
  })

  test.each(["x-llm-d-inference-objective", "x-gateway-inference-objective"])(
    "has the priority that %s names",
    (name) => {
      expect(wishOf({ [name]: "urgent" }, priorities).priority).toBe(10)
      expect(wishOf({ [name]: "unheard-of" }, priorities).priority).toBe(0)
    }
  )

  test.each(["x-llm-d-inference-fairness-id", "x-gateway-inference-fairness-id"])(
    "is in the flow that %s names",
    (name) => {
      expect(wishOf({ [name]: "team" }).flow).toBe("team")
      expect(wishOf({ [name]: "team" }, { readsFlow: "never" }).flow).toBe("")
    }
  )

  test("is in the flow of its key, whatever the client says, unless the operator trusts clients", () => {
    const headers = { "x-llm-d-inference-fairness-id": "another" }
    expect(wishOf(headers, {}, "key").flow).toBe("key")
    expect(wishOf(headers, { readsFlow: "always" }, "key").flow).toBe("another")
    expect(wishOf({}, { readsFlow: "always" }, "key").flow).toBe("key")
  })

  test("keeps of a flow's name no more than 128 characters", () => {
    expect(wishOf({ "x-llm-d-inference-fairness-id": "f".repeat(5000) }).flow).toBe("f".repeat(128))
  })

  test("has the client's own number only where the operator allows it", () => {
    const headers = { "x-warmroute-priority": "-3", "x-llm-d-inference-objective": "urgent" }
    expect(wishOf(headers, priorities).priority).toBe(10)
    expect(wishOf(headers, { ...priorities, readsPriority: true }).priority).toBe(-3)
  })

  test.each(["", "1.5", "high", "101", "-101", "1e9", "NaN"])("with the priority \"%s\" is refused", (text) => {
    expect(() => wishOf({ "x-warmroute-priority": text }, { readsPriority: true })).toThrow("whole number")
  })

  test("has the client's deadline in seconds", () => {
    expect(wishOf({ "x-warmroute-deadline-ms": "1500" }).waitMaxS).toBe(1.5)
    expect(wishOf({ "x-warmroute-deadline-ms": "0" }).waitMaxS).toBe(0)
  })

  test.each(["", "-1", "soon", "Infinity", "NaN"])("with the deadline \"%s\" is refused", (text) => {
    expect(() => wishOf({ "x-warmroute-deadline-ms": text })).toThrow("number of milliseconds")
  })
})

describe("the front end", () => {
  const body = { model: "m", prompt: "hello" }

  test("hands the scheduler the wish, with the size of the body", async () => {
    await using front = new TestFront([podAddress("127.0.0.1", 1, false)], { options: { retriesMax: 0 } })
    await front.post("/v1/completions", body, {
      headers: { "x-llm-d-inference-fairness-id": "team", "x-warmroute-deadline-ms": "250" }
    })
    expect(front.scheduler.picks[0]?.request.wish).toEqual({
      priority: 0,
      flow: "team",
      bytes: JSON.stringify(body).length,
      waitMaxS: 0.25
    })
  })

  test("shares by keys where it asks for them", async () => {
    const key = { name: "team-a", sha256: keyDigest("wr-a-key-of-some-length"), models: undefined }
    const unbounded = { requestsPerMinute: undefined, tokensPerMinute: undefined, openRequestsMax: undefined }
    const terms = [{ ...key, ...unbounded, expiresAtMs: undefined }]
    const keys = new KeyRing({ openRequestsPerKeyMax: 3, nowMs: () => 0 }, terms, new Map())
    await using front = new TestFront([podAddress("127.0.0.1", 1, false)], { keys, options: { retriesMax: 0 } })
    await front.post("/v1/completions", body, {
      headers: { authorization: "Bearer wr-a-key-of-some-length", "x-llm-d-inference-fairness-id": "another" }
    })
    expect(front.scheduler.picks[0]?.request.wish?.flow).toBe("team-a")
  })

  test("answers 400 to a deadline that is none, and names the header", async () => {
    await using front = new TestFront([podAddress("127.0.0.1", 1, false)])
    const answer = await front.post("/v1/completions", body, { headers: { "x-warmroute-deadline-ms": "soon" } })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ error: { param: "x-warmroute-deadline-ms" } })
    expect(front.scheduler.picks).toEqual([])
  })
})
