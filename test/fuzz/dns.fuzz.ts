import { expect, test } from "bun:test"
import { Effect, FastCheck as fc, Logger, Stream } from "effect"
import { isIP } from "node:net"
import type { PodAddress } from "../../src/core/Pod.ts"
import { dnsDiscovery, type DnsQuestion } from "../../src/discovery/dns.ts"
import { answerTo, startNameServer } from "../discovery/NameServer.ts"
import { assertBatches, hostileBytes, propertyTimeoutMs } from "./fuzz.ts"

/** Records of an address, of an IPv6 address and of a service; their owner is a pointer to the question. */
const records = [
  [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 10, 0, 0, 7],
  [0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 5, 0, 16, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7],
  [0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 5, 0, 17, 0, 10, 0, 5, 0x1f, 0x40, 3, 112, 111, 100, 4, 116, 101, 115, 116, 0, 0]
].map((bytes) => Uint8Array.from(bytes))
const words = ["\u0000", "\u00c0\u000c", "\u007f\u007f", "pod a/b", "\u0000\u0021", "\r\n", "@"]

/** The first list of pods, or why there is none. */
const firstAnswer = (question: DnsQuestion, server: string): Promise<ReadonlyArray<PodAddress> | string> =>
  Effect.runPromise(
    Stream.runHead(
      dnsDiscovery({ ...question, intervalMs: 60_000, timeoutMs: 40, podsMax: 8, servers: [server] }).addresses
    )
      .pipe(
        Effect.map((first) => first._tag === "Some" ? first.value : "none"),
        Effect.catchAll((error) => Effect.succeed(error.message)),
        Effect.provide(Logger.remove(Logger.defaultLogger))
      )
  )

test("a name server's answer that may be none gives pods that can be connected to, or a reason", async () => {
  const tails = fc.array(hostileBytes(records, words), { minLength: 1, maxLength: 3 })
  const heads = fc.record({ rcode: fc.constantFrom(0, 0, 0, 0, 2, 3, 15), bytes: fc.nat(40), cut: fc.boolean() })
  const question = fc.constantFrom<DnsQuestion>({ name: "pods.test", port: 8000 }, { name: "pods.test", srv: true })
  // Many at once, as those that are no answer at all are waited for.
  await assertBatches("dns", 100, fc.tuple(question, heads, tails), async (all) => {
    await Promise.all(all.map(async ([asked, { bytes, cut, rcode }, tail]) => {
      const server = await startNameServer({
        bytes: (query) => {
          const answer = answerTo(query, rcode, tail.map((record) => Buffer.from(record)))
          return cut ? answer.subarray(0, bytes) : answer
        }
      })
      try {
        const found = await firstAnswer(asked, server.address)
        if (typeof found === "string") return expect(found.length).toBeGreaterThan(10)
        expect(found.length).toBeLessThanOrEqual(8)
        for (const { hostname, port } of found) {
          expect("srv" in asked || isIP(hostname) > 0).toBe(true)
          expect(hostname).toMatch(/^[\w.:-]+$/)
          expect(port > 0 && port < 65_536).toBe(true)
        }
      } finally {
        server.close()
      }
    }))
  })
}, propertyTimeoutMs)
