import { expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { RequestWriter } from "../../src/http/upstream/RequestWriter.ts"
import type { UpstreamRequest } from "../../src/http/upstream/UpstreamRequest.ts"

/** A socket that takes so many bytes at each write. */
class NarrowSocket {
  text = ""
  private readonly bytesAWrite: number

  constructor(bytesAWrite: number) {
    this.bytesAWrite = bytesAWrite
  }

  write(bytes: Uint8Array, from = 0, length = bytes.length - from): number {
    const taken = bytes.subarray(from, from + Math.min(length, this.bytesAWrite))
    this.text += Buffer.from(taken).toString("latin1")
    return taken.length
  }
}

const noPieces = { write: () => 0, bodyUnread: () => {} }

const requestOf = (body: string): UpstreamRequest => ({
  method: "POST",
  target: "/v1/completions",
  headerLines: "",
  body: Buffer.from(body),
  isRepeatable: true
})

const whole = (body: string): string =>
  `POST /v1/completions HTTP/1.1\r\nhost: pod\r\ncontent-length: ${body.length}\r\n\r\n${body}`

test("requests that share the scratch buffer, on sockets that take them in pieces, arrive as they are", () => {
  const body = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 200 })
  fc.assert(fc.property(
    fc.array(fc.tuple(body, fc.integer({ min: 1, max: 100 })), { minLength: 1, maxLength: 5 }),
    (sent) => {
      const scratch = Buffer.alloc(150)
      const flights = sent.map(([body, bytesAWrite]) => {
        const flight = { body, socket: new NarrowSocket(bytesAWrite), writer: new RequestWriter(scratch, noPieces) }
        flight.writer.start(flight.socket, requestOf(body), "host: pod\r\n")
        return flight
      })
      for (let left = flights; left.length > 0; left = left.filter(({ writer }) => !writer.isSent)) {
        for (const { socket, writer } of left) writer.drained(socket)
      }
      for (const { body, socket } of flights) expect(socket.text).toBe(whole(body))
    }
  ))
})
