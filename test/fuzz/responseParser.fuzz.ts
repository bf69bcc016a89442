import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { ResponseParser } from "../../src/http/upstream/ResponseParser.ts"
import { recordedExchanges } from "../lib/recordedPod.ts"
import { cutsArb, hostileBytes, pieces, plan, propertyTimeoutMs } from "./fuzz.ts"

const limits = { headBytesMax: 1_024, headersMax: 12 }
const words = [
  "\r\n",
  "\n",
  "\r\n\r\n",
  "0\r\n\r\n",
  "HTTP/1.1 200 OK\r\n",
  "HTTP/1.1 100 Continue\r\n\r\n",
  "HTTP/1.1 204 No Content\r\n\r\n",
  "HTTP/1.0 200\r\n",
  "content-length: 5\r\n",
  "content-length: -1\r\n",
  "Content-Length: 99999999999999999999\r\n",
  "transfer-encoding: chunked\r\n",
  "transfer-encoding: gzip, chunked\r\n",
  "connection: keep-alive\r\n",
  "ffffffffffff\r\n",
  "5;ext=1\r\nhello\r\n",
  " folded\r\n",
  ": no name\r\n",
  "\0"
]

const small = (raw: Uint8Array): Uint8Array => raw.length <= 1_500 ? raw : raw.subarray(0, 1_500)
const written = [
  "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\n",
  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
  "HTTP/1.1 200 OK\r\n\r\nto the end"
].map((text) => new Uint8Array(Buffer.from(text)))
const samples = [...written, ...recordedExchanges().filter((_, index) => index % 5 === 0).map(({ raw }) => small(raw))]

interface Outcome {
  readonly heads: ReadonlyArray<{ readonly status: number; readonly headers: ReadonlyArray<string> }>
  readonly body: string
  readonly end: string
  readonly taken: number
}

/** Feeds the pieces until the answer is over; `taken` are the bytes that belong to it. */
const parse = (all: ReadonlyArray<Uint8Array>, method: string): Outcome => {
  const heads: Array<Outcome["heads"][number]> = []
  let body = ""
  let taken = 0
  const parser = new ResponseParser(limits, {
    onHead: ({ headers, status }) => void heads.push({ status, headers }),
    onData: (bytes) => void (body += Buffer.from(bytes).toString("latin1"))
  })
  parser.reset(method)
  for (const piece of all) {
    taken += piece.length
    const result = parser.push(piece)
    if (result === "more") continue
    const end = result === "done" ? `done, keep ${parser.keepAlive}` : parser.problem
    return { heads, body, end, taken: result === "done" ? taken - parser.leftover : 0 }
  }
  return { heads, body, end: parser.closed(true) ? "closed" : "cut off", taken }
}

const methods = fc.constantFrom("GET", "POST", "HEAD")

describe("bytes from a pod that may be no answer", () => {
  test("mean the same however they are cut, and stay inside the limits", () => {
    fc.assert(
      fc.property(hostileBytes(samples, words), cutsArb, methods, (bytes, cuts, method) => {
        const whole = parse([bytes], method)
        expect(parse(pieces(bytes, cuts), method)).toEqual(whole)
        expect(whole.end).not.toBe("")
        expect(whole.body.length).toBeLessThanOrEqual(bytes.length)
        for (const { headers, status } of whole.heads) {
          expect(headers.length).toBeLessThanOrEqual(2 * limits.headersMax)
          // oxlint-disable-next-line no-control-regex -- none of them may reach a client
          expect(headers.join("")).not.toMatch(/[\x00-\x08\x0a-\x1f\x7f]/)
          expect(status >= 200 && status <= 999).toBe(true)
        }
        expect(whole.heads.length).toBeLessThanOrEqual(1)
      }),
      plan("responseParser", 0.8)
    )
  }, propertyTimeoutMs)

  test("behind a whole answer are counted, not taken for a part of it", () => {
    const whole = written.slice(0, 2)
    fc.assert(
      fc.property(fc.constantFrom(...whole), hostileBytes(samples, words), cutsArb, (answer, garbage, cuts) => {
        const alone = parse([answer], "GET")
        const followed = parse(pieces(Buffer.concat([answer, garbage]), cuts), "GET")
        expect(followed).toEqual(alone)
        expect(alone.taken).toBe(answer.length)
      }),
      plan("responseParser", 0.2)
    )
  }, propertyTimeoutMs)
})
