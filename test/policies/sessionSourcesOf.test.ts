import { expect, test } from "bun:test"
import { sessionSourcesOf } from "../../src/policies/sessionSourcesOf.ts"

const picker = { type: "random-picker" }
const [user, sid] = [{ header: "X-User " }, { cookie: "sid" }]

test("the places of a policy's sessions are its own, or those of its filters and scorers, each once", () => {
  expect(sessionSourcesOf({ type: "session-hash", parameters: { sources: [user, sid] } })).toEqual([
    { header: "x-user", cookie: undefined },
    { header: undefined, cookie: "sid" }
  ])
  const filters = [{ type: "session-affinity-filter", parameters: { strategy: "session_id", sources: [sid] } }]
  const scorers = [
    { type: "session-affinity-scorer", parameters: { strategy: "session_id", sources: [sid, user] }, weight: 1 },
    { type: "queue-scorer", weight: 1 }
  ]
  expect(sessionSourcesOf({ type: "weighted", filters, scorers, picker }).map(({ cookie, header }) => cookie ?? header))
    .toEqual(["sid", "x-user"])
})

test("a policy that names no places has none", () => {
  expect(sessionSourcesOf({ type: "marginal-cost" })).toEqual([])
  expect(sessionSourcesOf({ type: "session-hash", parameters: {} })).toEqual([])
  expect(sessionSourcesOf({ type: "weighted", filters: [], scorers: [], picker })).toEqual([])
})
