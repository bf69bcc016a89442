import { afterEach, describe, expect, test } from "bun:test"
import { dnsDiscovery, type DnsQuestion } from "../../src/discovery/dns.ts"
import { follow, type Followed } from "./follow.ts"
import { type Answer, answerTo, startNameServer } from "./NameServer.ts"

const enders: Array<() => unknown> = []

afterEach(async () => {
  for (const end of enders.splice(0)) await end()
})

const a = { name: "pods.test", port: 8000 }

const ask = async (answer: Answer, question: DnsQuestion = a, podsMax = 100) => {
  const server = await startNameServer(answer)
  const followed: Followed = follow(
    dnsDiscovery({ ...question, intervalMs: 20, timeoutMs: 300, podsMax, servers: [server.address] })
  )
  enders.push(followed.stop, server.close)
  return { ...followed, answerWith: server.answerWith, queries: server.queries }
}

describe("A and AAAA records", () => {
  test("give pods in order of id, each once", async () => {
    const { nextSet } = await ask({ a: ["10.0.0.9", "10.0.0.10", "10.0.0.9"] })
    expect(await nextSet()).toBe("10.0.0.10:8000 10.0.0.9:8000")
  })

  test("of both families count a pod once, as A", async () => {
    const { nextSet } = await ask({ a: ["10.0.0.9"], aaaa: ["fd00:0:0:0:0:0:0:7"] })
    expect(await nextSet()).toBe("10.0.0.9:8000")
  })

  test("of IPv6 alone give pods in brackets", async () => {
    const { nextSet } = await ask({ aaaa: ["fd00:0:0:0:0:0:0:7"] })
    expect(await nextSet()).toBe("[fd00::7]:8000")
  })

  test("in another order are no change", async () => {
    const { answerWith, nextSet, queries } = await ask({ a: ["10.0.0.1", "10.0.0.2"] })
    expect(await nextSet()).toBe("10.0.0.1:8000 10.0.0.2:8000")
    answerWith({ a: ["10.0.0.2", "10.0.0.1"] })
    const before = queries()
    while (queries() < before + 3) await Bun.sleep(5)
    answerWith({ a: ["10.0.0.3"] })
    expect(await nextSet()).toBe("10.0.0.3:8000")
  })
})

describe("SRV records", () => {
  test("give target and port", async () => {
    const srv = [{ target: "pod-b.pods.test", port: 8001 }, { target: "pod-a.pods.test", port: 8000 }]
    const { nextSet } = await ask({ srv }, { name: "_http._tcp.pods.test", srv: true })
    expect(await nextSet()).toBe("pod-a.pods.test:8000 pod-b.pods.test:8001")
  })

  test.each([
    ["a target that is no host name", { target: "pod a/b", port: 1 }, "no host name"],
    ["the port 0", { target: "pod-a", port: 0 }, "port 0"]
  ])("with %s are refused", async (_, entry, why) => {
    const { nextSet } = await ask({ srv: [entry] }, { name: "_http._tcp.pods.test", srv: true })
    expect(await nextSet()).toContain(why)
  })
})

describe("a name server at fault", () => {
  test.each<[string, Answer, string]>([
    ["knows no such name", { rcode: 3 }, "failed: pods.test: the name does not exist or has no such records"],
    ["has no record for the name", {}, "failed: pods.test: the name does not exist or has no such records"],
    ["fails", { rcode: 2 }, "failed: pods.test: the name server failed (SERVFAIL)"],
    ["refuses", { rcode: 5 }, "failed: pods.test: the name server refused"],
    ["is silent", "silent", "failed: pods.test: the name server did not answer"]
  ])("that %s fails the start in words", async (_, answer, why) => {
    const { nextSet } = await ask(answer)
    expect(await nextSet()).toStartWith(why)
  })

  test.each<[string, Answer]>([
    ["knows the name no more", { rcode: 3 }],
    ["has no more records", {}],
    ["fails", { rcode: 2 }],
    ["is silent", "silent"],
    ["sends noise", { bytes: () => Buffer.from("not dns at all, not even nearly so") }],
    ["sends nothing but a head", { bytes: (query) => query.slice(0, 12) }],
    ["cuts its records off", { bytes: (query) => answerTo(query, 0, [Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0])]) }],
    ["points a name at itself", {
      bytes: (query) => answerTo(query, 0, [Buffer.from([0xc0, query.length, 0xc0, 0xc0])])
    }],
    ["announces more records than it sends", {
      bytes: (query) => {
        const answer = answerTo(query, 0, [])
        answer.writeUInt16BE(65_535, 6)
        return answer
      }
    }]
  ])("that later %s leaves the last good list, and heals", async (_, fault) => {
    const { answerWith, nextLog, nextSet } = await ask({ a: ["10.0.0.1"] })
    expect(await nextSet()).toBe("10.0.0.1:8000")
    answerWith(fault)
    expect(await nextLog()).toEndWith("; the last good list stands (1 pod)")
    answerWith({ a: ["10.0.0.2"] })
    expect(await nextSet()).toBe("10.0.0.2:8000")
    expect(await nextLog()).toBe("discovery: pods.test can be read again")
  })

  test("that names more pods than allowed is refused", async () => {
    const { nextSet } = await ask({ a: ["10.0.0.1", "10.0.0.2", "10.0.0.3"] }, a, 2)
    expect(await nextSet()).toBe("failed: pods.test: 3 pods, more than the 2 that the gateway takes (limits.podsMax)")
  })
})
