import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { AnswerEnd } from "../../bench/chaos/AnswerEnd.ts"
import { checkJson, StreamCheck } from "../../bench/chaos/answerCheck.ts"
import { brokenByChaos, type ChaosRun } from "../../bench/chaos/chaosTable.ts"
import { faultsOf, POD_COUNT } from "../../bench/chaos/faults.ts"
import { stateOf, sumOf } from "../../bench/chaos/gatewayState.ts"
import { HttpAnswer } from "../../bench/chaos/HttpAnswer.ts"
import { brokenBySoak, soakVerdict } from "../../bench/chaos/soakVerdict.ts"
import { type RequestRecord, tally } from "../../bench/chaos/tally.ts"

const expected = { text: "one two", outputTokens: 2 }
const whole = { status: 200, fault: undefined, contentType: "text/event-stream; charset=utf-8" }

const chunk = (fields: object): string => `data: ${JSON.stringify({ id: "a", ...fields })}\n\n`
const token = (content: string, finish: string | null = null): string =>
  chunk({ choices: [{ index: 0, delta: { content }, finish_reason: finish }] })
const usage = chunk({ choices: [], usage: { completion_tokens: 2 } })

const verdictOf = (body: string, answered = whole) => {
  const check = new StreamCheck()
  for (const byte of Buffer.from(body)) check.push(Uint8Array.of(byte))
  return check.verdict(answered, expected)
}

describe("a stream under chaos", () => {
  test("is ok with the right text, its usage and its end", () => {
    expect(verdictOf(`${token("one ")}${token("two", "length")}${usage}data: [DONE]\n\n`).outcome).toBe("ok")
  })

  test("is clean when it ends with an error event after right text", () => {
    const body = `${token("one ")}data: {"error":{"code":"pod_unreachable","message":"m"}}\n\n`
    expect(verdictOf(body)).toEqual({ outcome: "clean", reason: "error event, pod_unreachable" })
  })

  test.each([
    ["stream without its end", token("one ")],
    ["stream cut inside an event", `${token("one ")}data: {"id`],
    ["wrong text", `${token("one ")}${token("three", "length")}${usage}data: [DONE]\n\n`],
    ["text is missing", `${token("one ", "length")}${usage}data: [DONE]\n\n`],
    ["no finish_reason", `${token("one two")}${usage}data: [DONE]\n\n`],
    ["wrong usage", `${token("one two", "length")}data: [DONE]\n\n`],
    ["the id changed inside the stream", `${token("one ")}${token("two", "length").replace("\"a\"", "\"b\"")}`],
    ["an event that is not JSON", "data: {\n\n"],
    ["not an event stream", "nonsense\n\n"]
  ])("is unclean: %s", (reason, body) => {
    expect(verdictOf(body)).toEqual({ outcome: "unclean", reason })
  })

  test("is unclean when its connection broke, whatever it said", () => {
    const body = `${token("one ")}${token("two", "length")}${usage}data: [DONE]\n\n`
    expect(verdictOf(body, { ...whole, fault: "connection closed" as never }).outcome).toBe("unclean")
  })

  test("is wrong with a wrong text, even when its connection broke behind that", () => {
    const fault = "connection closed inside the answer" as never
    expect(verdictOf(token("three"), { ...whole, fault }).reason).toBe("wrong text")
    expect(verdictOf(token("one "), { ...whole, fault }).reason).toBe(fault)
  })
})

describe("a whole answer under chaos", () => {
  const json = { ...whole, contentType: "application/json" }

  test("is ok with the right text", () => {
    const body = JSON.stringify({ choices: [{ text: "one two", finish_reason: "length" }] })
    expect(checkJson(json, body, expected).outcome).toBe("ok")
  })

  test("is unclean with another text, or none", () => {
    const body = JSON.stringify({ choices: [{ text: "one", finish_reason: "length" }] })
    expect(checkJson(json, body, expected).reason).toBe("wrong text")
    expect(checkJson(json, "{}", expected).reason).toBe("200 without an answer")
  })

  test("is clean when it refuses, and says with what", () => {
    const body = JSON.stringify({ error: { code: "no_pod_available", message: "m" } })
    expect(checkJson({ ...json, status: 503 }, body, expected).reason).toBe("status 503, no_pod_available")
    expect(checkJson({ ...json, status: 502 }, "bad gateway", expected)).toEqual({
      outcome: "clean",
      reason: "status 502, not JSON"
    })
  })
})

describe("the end of an answer", () => {
  const answers = [
    ["chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true],
    ["no chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true],
    ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", true],
    ["a length of nothing", "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", true],
    ["a last answer", "HTTP/1.1 503 Busy\r\ncontent-length: 3\r\nConnection: close\r\n\r\nabc", false]
  ] as const

  test.each(answers)("is found in %s, however it is cut, and not before", (_, text, keepsConnection) => {
    for (const step of [1, 2, 3, 5, 8, text.length]) {
      const end = new AnswerEnd()
      for (let at = 0; at < text.length; at += step) {
        expect(end.reached).toBe(false)
        end.push(Buffer.from(text.slice(at, at + step), "latin1"))
      }
      expect(end).toMatchObject({ reached: true, keepsConnection })
    }
  })

  test("is not reached by an answer that ends with its connection", () => {
    const end = new AnswerEnd()
    end.push(Buffer.from("HTTP/1.1 200 OK\r\n\r\nabc\r\n0\r\n\r\n"))
    expect(end).toMatchObject({ reached: false, keepsConnection: false })
  })
})

describe("the bench's HTTP reader", () => {
  const read = (text: string, closes = false) => {
    let body = ""
    const answer = new HttpAnswer((piece) => {
      body += piece.toString()
    })
    for (const byte of Buffer.from(text, "latin1")) answer.push(Buffer.of(byte))
    if (closes) answer.close()
    return { done: answer.done, fault: answer.fault, reusable: answer.reusable, body }
  }

  test("reads chunks and lengths however they are cut", () => {
    const chunked = read("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
    expect(chunked).toEqual({ done: true, fault: undefined, reusable: true, body: "abcde" })
    const length = read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nconnection: close\r\n\r\nabc")
    expect(length).toEqual({ done: true, fault: undefined, reusable: false, body: "abc" })
  })

  test.each([
    ["not an HTTP answer", "\u0001\u0002garbage", false],
    ["bad chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", false],
    ["bytes behind the answer", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab", false],
    ["connection closed inside the answer", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab", true],
    ["connection closed without an answer", "", true]
  ])("finds: %s", (fault, text, closes) => {
    expect(read(text, closes).fault).toBe(fault)
  })

  test("is never whole, nor throws, on a part of an answer", () => {
    const text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    for (let end = 0; end < text.length; end++) expect(read(text.slice(0, end), true).done).toBe(false)
  })
})

const record = (user: string, fields: Partial<RequestRecord>): RequestRecord => ({
  user,
  isStream: true,
  sentMs: 0,
  endMs: 10,
  stallMs: 0,
  eventMs: [],
  wasCut: false,
  outcome: "ok",
  reason: "",
  ...fields
})

describe("the tally of a chaos run", () => {
  test("counts each request once, by its end", () => {
    const counts = tally(
      [
        record("a", {}),
        record("b", { outcome: "clean", reason: "status 503" }),
        record("c", { outcome: "unclean", reason: "truncated" }),
        record("d", { outcome: "unclean", reason: "reset", wasCut: true, sentMs: 90, endMs: 105 })
      ],
      new Map(),
      [],
      [{ startMs: 100, endMs: 200 }],
      2
    )
    expect(counts).toMatchObject({ requests: 4, ok: 1, cleanErrors: 1, uncleanErrors: 1, lostWithGateway: 1 })
    expect(counts.reasons).toEqual({ "clean with pods left: status 503": 1, "unclean: truncated": 1, "lost: reset": 1 })
  })

  test("sums up to its requests, whatever overlaps the time without a gateway", () => {
    const outcome = fc.constantFrom("ok" as const, "clean" as const, "unclean" as const)
    const time = fc.integer({ min: 0, max: 300 })
    const ends = fc.record({ outcome, wasCut: fc.boolean(), sentMs: time, tookMs: time })
    fc.assert(fc.property(fc.array(ends), (ends) => {
      const records = ends.map(({ outcome, sentMs, tookMs, wasCut }, at) =>
        record(`u${at}`, { outcome, reason: "x", wasCut, sentMs, endMs: sentMs + tookMs })
      )
      const counts = tally(records, new Map(), [], [{ startMs: 100, endMs: 200 }], 2)
      const { cleanErrors, lostWithGateway, ok, requests, uncleanErrors } = counts
      expect(ok + cleanErrors + uncleanErrors + lostWithGateway).toBe(requests)
      expect(requests).toBe(records.length)
    }))
  })

  test("does not excuse a wrong answer by the gateway's absence", () => {
    const wrong = record("a", { outcome: "unclean", reason: "wrong text", sentMs: 90, endMs: 105 })
    const down = [{ startMs: 100, endMs: 200 }]
    expect(tally([wrong], new Map(), [], down, 2)).toMatchObject({ uncleanErrors: 1, lostWithGateway: 0 })
  })

  test("takes stalls from streams whose pods had no fault while they lasted", () => {
    const faults = [{ pod: 1, startMs: 5, endMs: 50 }]
    const records = [
      record("sick", { stallMs: 900 }),
      record("retried", { stallMs: 800 }),
      record("later", { stallMs: 20, sentMs: 60, endMs: 90 }),
      record("healthy", { stallMs: 30 })
    ]
    const seen = new Map([["sick", [1]], ["retried", [1, 0]], ["later", [1]], ["healthy", [0]]])
    expect(tally(records, seen, faults, [], 2)).toMatchObject({ longestStallMs: 30, healthyStreams: 2 })
  })

  test("tells errors that a healthy pod could have spared from those of a fleet that was gone", () => {
    const faults = [{ pod: 0, startMs: 0, endMs: 21 }, { pod: 0, startMs: 2, endMs: 40 }, {
      pod: 1,
      startMs: 20,
      endMs: 60
    }]
    const refused = { outcome: "clean", reason: "status 503" } as const
    const records = [
      record("gone", { ...refused, sentMs: 25, endMs: 30 }),
      record("left", { ...refused, sentMs: 45, endMs: 50 })
    ]
    expect(tally(records, new Map(), faults, [], 2).cleanErrorsWithPodsLeft).toBe(1)
  })
})

describe("the chaos plan", () => {
  test("has every fault, and one moment at which all pods are gone, at any length", () => {
    for (const durationS of [16, 120]) {
      const faults = faultsOf(durationS)
      expect(new Set(faults.map(({ kind }) => kind)).size).toBe(6)
      expect(faults.some(({ pods }) => pods.length === POD_COUNT)).toBe(true)
      expect(Math.max(...faults.map(({ endS }) => endS))).toBeLessThan(durationS)
    }
  })
})

describe("a gateway's metrics", () => {
  test("are added up over the series of a name, and of no longer name", () => {
    const page =
      "# HELP a_total x\na_total{pod=\"1\"} 2\na_total{pod=\"2\"} 3\na_total_more 7\na_total{pod=\"1\",x=\"y\"} 1\n"
    expect(sumOf(page, "a_total")).toBe(6)
    expect(sumOf(page, "a_total{pod=\"2\"}")).toBe(3)
    expect(sumOf(page, "b_total")).toBe(0)
  })

  test("are known for each gateway of the bench", () => {
    const page = "smg_worker_requests_active{worker=\"a\"} 2\nsmg_worker_retries_total{worker=\"a\"} 4\n"
    expect(stateOf("smg-cache", page)).toEqual({ inflight: 2, retried: 4, rescued: 0 })
    expect(() => stateOf("envoy-rr", "")).toThrow("not known")
  })
})

describe("the verdict of a soak", () => {
  const minute = (number: number, rssMb: number) => ({
    minute: number,
    requests: 1,
    ok: 1,
    cleanErrors: 0,
    uncleanErrors: 0,
    rssMb,
    openRequests: 0,
    reservations: number === 3 ? 1 : 0,
    waitingRequests: 0,
    sockets: 5,
    fds: 20 + number,
    reasons: {}
  })

  test("leaves the first minute out of the memory and finds what was left over in any", () => {
    const verdict = soakVerdict([minute(1, 50), minute(2, 100), minute(3, 102), minute(4, 104)])
    expect(verdict).toEqual({
      rssRatio: 1.04,
      rssMbPerMinute: 2,
      inflightMost: 1,
      fdDrift: 2,
      socketDrift: 0,
      uncleanErrors: 0
    })
  })

  const sound = { rssRatio: 1.1, rssMbPerMinute: 0, inflightMost: 0, fdDrift: -1, socketDrift: 0, uncleanErrors: 0 }

  test.each([
    ["unclean ends", { uncleanErrors: 1 }],
    ["what is left over", { inflightMost: 1 }],
    ["sockets that stay", { socketDrift: 1 }],
    ["files that stay", { fdDrift: 1 }],
    ["memory that grows", { rssRatio: 1.21 }]
  ])("is broken by %s", (_what, fault) => {
    expect(brokenBySoak({ ...sound, ...fault }, 30)).toHaveLength(1)
  })

  test("is not broken by less, nor by the memory of a few minutes", () => {
    expect(brokenBySoak(sound, 30)).toEqual([])
    expect(brokenBySoak({ ...sound, rssRatio: 2 }, 3)).toEqual([])
  })
})

describe("the verdict of chaos", () => {
  const run = (of: Partial<ChaosRun>): ChaosRun => ({
    gateway: "warmroute",
    requests: 1,
    ok: 1,
    retried: 0,
    rescued: 0,
    cleanErrors: 0,
    cleanErrorsWithPodsLeft: 0,
    uncleanErrors: 0,
    inflightAfter: 0,
    rssStartMb: 100,
    rssEndMb: 120,
    longestStallMs: 0,
    benchStallMs: 0,
    lostWithGateway: 0,
    gatewayDownMs: 0,
    healthyStreams: 1,
    longestRequestMs: 0,
    directStallMs: 0,
    directStreams: 0,
    benchLagMs: 0,
    longestWayMs: 0,
    directWayMs: 0,
    tracedStreams: 0,
    stalls: [],
    directStalls: [],
    reasons: {},
    version: "1",
    ...of
  })

  test("is broken by unclean ends, by what is left over, by memory and by stalls, of ours alone", () => {
    const bad = { uncleanErrors: 1, inflightAfter: 1, rssEndMb: 121, longestStallMs: 101 }
    expect(brokenByChaos([run(bad)], true)).toHaveLength(4)
    expect(brokenByChaos([run(bad)], false)).toHaveLength(2)
    expect(brokenByChaos([run({}), run({ ...bad, gateway: "smg-cache" })], true)).toEqual([])
  })

  test("is not broken by a stall that streams without a gateway have too", () => {
    expect(brokenByChaos([run({ longestStallMs: 110, directStallMs: 110 })], true)).toEqual([])
    expect(brokenByChaos([run({ longestStallMs: 111, directStallMs: 110 })], true)).toHaveLength(1)
  })
})
