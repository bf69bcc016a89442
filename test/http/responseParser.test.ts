import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { ResponseParser } from "../../src/http/upstream/ResponseParser.ts"

const limits = { headBytesMax: 2_048, headersMax: 16 }

interface Outcome {
  readonly heads: Array<
    { readonly status: number; readonly headers: ReadonlyArray<string>; readonly bodyBytes: number }
  >
  readonly body: string
  readonly end: string
}

const latin1 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"))

/** Feeds the pieces and closes; tells all that came out. */
const parse = (pieces: ReadonlyArray<Uint8Array>, method = "GET", clean = true): Outcome => {
  const heads: Outcome["heads"] = []
  let body = ""
  const parser = new ResponseParser(limits, {
    onHead: (head) => void heads.push({ status: head.status, headers: head.headers, bodyBytes: head.bodyBytes }),
    onData: (bytes) => void (body += Buffer.from(bytes).toString("latin1"))
  })
  parser.reset(method)
  for (const piece of pieces) {
    const result = parser.push(piece)
    if (result === "done") {
      return { heads, body, end: `done keepAlive=${parser.keepAlive} garbage=${parser.leftover > 0}` }
    }
    if (result === "failed") return { heads, body, end: parser.problem }
  }
  return { heads, body, end: parser.closed(clean) ? "closed" : "truncated" }
}

const parseText = (text: string, method = "GET", clean = true) => parse([latin1(text)], method, clean)

describe("ResponseParser", () => {
  test("a body with a content-length ends with its last byte and keeps the socket", () => {
    const out = parseText("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b c \r\n\r\nhello")
    expect(out).toEqual({
      heads: [{ status: 200, headers: ["Content-Length", "5", "X-A", "b c"], bodyBytes: 5 }],
      body: "hello",
      end: "done keepAlive=true garbage=false"
    })
  })

  test("chunks with extensions and trailers give the bare body", () => {
    const out = parseText(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n6 ;x\r\n world\r\n0\r\nX-T: 1\r\nY: 2\r\n\r\n"
    )
    expect([out.body, out.end]).toEqual(["hello world", "done keepAlive=true garbage=false"])
  })

  test("a body without a length ends when the pod closes in good order, and only then", () => {
    const text = "HTTP/1.1 200 OK\r\n\r\nhel"
    expect(parseText(text).end).toBe("closed")
    expect(parseText(text, "GET", false).end).toBe("truncated")
  })

  test("interim answers are skipped, even when they come with the real one", () => {
    const out = parseText(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    )
    expect(out.heads.map((head) => head.status)).toEqual([204])
    expect(out.end).toBe("done keepAlive=true garbage=false")
  })

  test("HEAD, 204 and 304 have no body, whatever their headers say", () => {
    expect(parseText("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "HEAD").end).toStartWith("done")
    expect(parseText("HTTP/1.1 204 No\r\nContent-Length: 10\r\n\r\n").end).toStartWith("done")
    expect(parseText("HTTP/1.1 304 Not\r\nTransfer-Encoding: chunked\r\n\r\n").end).toStartWith("done")
  })

  test("bytes behind the end are told, so that the socket is not used again", () => {
    expect(parseText("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200").end).toBe(
      "done keepAlive=true garbage=true"
    )
  })

  test("HTTP/1.0 and Connection: close give the socket up, keep-alive keeps it", () => {
    expect(parseText("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").end).toContain("keepAlive=false")
    expect(parseText("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n").end).toContain(
      "keepAlive=true"
    )
    expect(parseText("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n").end).toContain(
      "keepAlive=false"
    )
  })

  test("an answer that says its length in two ways is chunked, and its connection is not used again", () => {
    const head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    const out = parseText(`${head}2\r\nhi\r\n0\r\n\r\n`)
    expect([out.body, out.end]).toEqual(["hi", "done keepAlive=false garbage=false"])
  })

  test("header names, order, case, duplicates and bytes above 127 come out as they went in", () => {
    const out = parseText("HTTP/1.1 200 OK\r\nb: 1\r\nA: \xe9\xff\r\nB: 2\r\ncontent-length: 0\r\n\r\n")
    expect(out.heads[0]?.headers).toEqual(["b", "1", "A", "\xe9\xff", "B", "2", "content-length", "0"])
  })

  test.each([
    ["not http", "SSH-2.0-OpenSSH\r\n\r\n", "the status line is not HTTP/1.1"],
    [
      "two lengths",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "two different content-lengths"
    ],
    ["a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "content-length is not a number"],
    [
      "gzip coding",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      "transfer-encoding gzip, chunked is not supported"
    ],
    ["a name with a blank", "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n", "a header has no valid name"],
    ["a folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "a header has no valid name"],
    ["a bare CR in a value", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", "the header A carries a control character"],
    ["an upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "an upgrade that nobody asked for"],
    ["an endless head", `HTTP/1.1 200 OK\r\nA: ${"x".repeat(3_000)}`, "a head of more than 2048 bytes"],
    ["too many headers", `HTTP/1.1 200 OK\r\n${"A: b\r\n".repeat(17)}\r\n`, "more than 16 headers"],
    ["a chunk without a size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "a chunk without a size"],
    [
      "a huge chunk",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffff\r\n",
      "a chunk size out of range"
    ],
    [
      "a chunk longer than it says",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
      "a chunk longer than its size"
    ],
    ["endless interims", "HTTP/1.1 100 C\r\n\r\n".repeat(17), "interim answers without end"]
  ])("%s is refused with its reason", (_name, text, problem) => {
    expect(parseText(text).end).toBe(problem)
  })

  const cutting = (text: string, cuts: ReadonlyArray<number>): Array<Uint8Array> => {
    const bytes = latin1(text)
    const at = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
    return at.slice(1).map((end, i) => bytes.slice(at[i], end))
  }

  const responseArb = fc
    .record({
      interims: fc.nat(2),
      status: fc.constantFrom(200, 201, 204, 400, 503),
      body: fc.array(fc.string({ minLength: 1, maxLength: 40 }), { maxLength: 6 }),
      framing: fc.constantFrom("length", "chunked", "close"),
      trailer: fc.boolean(),
      garbage: fc.constantFrom("", "HTTP/1.1 200 OK\r\n")
    })
    .map(({ interims, status, body, framing, trailer, garbage }) => {
      const pieces = body.map((piece) => Buffer.from(piece).toString("latin1"))
      const whole = pieces.join("")
      const head = `${"HTTP/1.1 100 C\r\n\r\n".repeat(interims)}HTTP/1.1 ${status} Text\r\nX-Y: z\r\n`
      if (framing === "length") return `${head}Content-Length: ${whole.length}\r\n\r\n${whole}${garbage}`
      if (framing === "close") return `${head}\r\n${whole}`
      const chunks = pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join("")
      return `${head}transfer-encoding: chunked\r\n\r\n${chunks}0\r\n${trailer ? "T: u\r\n" : ""}\r\n${garbage}`
    })

  /** Whether garbage is told depends on how much of it came along, so only the rest is compared. */
  const comparable = (out: Outcome) => ({ ...out, end: out.end.replace(/ garbage=.*/, "") })

  test("any cut of the bytes gives the same result", () => {
    fc.assert(
      fc.property(responseArb, fc.array(fc.nat(2_000), { maxLength: 30 }), (text, cuts) => {
        expect(comparable(parse(cutting(text, cuts)))).toEqual(comparable(parseText(text)))
      }),
      { numRuns: 500 }
    )
  })

  test("one byte at a time gives the same result", () => {
    fc.assert(
      fc.property(responseArb, (text) => {
        const bytes = [...latin1(text)].map((byte) => Uint8Array.of(byte))
        expect(comparable(parse(bytes))).toEqual(comparable(parseText(text)))
      })
    )
  })

  test("corrupted bytes never throw, and any cut of them gives the same result", () => {
    const corruption = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(responseArb, corruption, fc.array(fc.nat(2_000), { maxLength: 10 }), (text, changes, cuts) => {
        const bytes = latin1(text)
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte
        const corrupted = Buffer.from(bytes).toString("latin1")
        expect(comparable(parse(cutting(corrupted, cuts)))).toEqual(comparable(parse([bytes])))
      }),
      { numRuns: 1_000 }
    )
  })
})
