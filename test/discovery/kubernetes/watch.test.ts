import { describe, expect, test } from "bun:test"
import { useCluster } from "./useCluster.ts"
import { podsPath, vllmPod } from "./objects.ts"

const cluster = useCluster()

describe("a watch", () => {
  const asksToWatchFrom = (version: string) =>
    cluster.server.wasAsked(
      `a watch from ${version}`,
      ({ path, query }) => path === podsPath && query.get("resourceVersion") === version
    )

  const lists = (): number =>
    cluster.server.asked.filter(({ path, query }) => path === podsPath && !query.has("watch")).length

  test("that is cut goes on where it was, without a new list", async () => {
    const { nextSet } = await cluster.startPool()
    cluster.server.silently(() => cluster.server.put(podsPath, vllmPod("c", "10.0.0.3")))
    cluster.server.cutConnections()
    expect(await nextSet()).toBe("10.0.0.1:8000 10.0.0.2:8000 10.0.0.3:8000")
    expect(lists()).toBe(1)
  })

  test("goes on from the last bookmark", async () => {
    await cluster.startPool()
    cluster.server.bookmark()
    cluster.server.finishWatches()
    await asksToWatchFrom("1004")
  })

  test("whose place the server has forgotten leads to a new list", async () => {
    const { nextSet } = await cluster.startPool()
    cluster.server.silently(() => cluster.server.remove(podsPath, "a"))
    cluster.server.compact()
    cluster.server.cutConnections()
    expect(await nextSet()).toBe("10.0.0.2:8000")
    expect(lists()).toBe(2)
  })

  test("that is refused with 410 leads to a new list", async () => {
    const { nextSet } = await cluster.startPool()
    cluster.server.silently(() => cluster.server.remove(podsPath, "a"))
    cluster.server.failNext(/pods\?.*watch=true/, { status: 410 })
    cluster.server.cutConnections()
    expect(await nextSet()).toBe("10.0.0.2:8000")
  })

  test("that the server ends with an error goes on, and the error is logged", async () => {
    const { nextLog, nextSet } = await cluster.startPool()
    await nextLog()
    cluster.server.endWatches(500, "etcd leader changed")
    expect(await nextLog()).toContain("the server ended it: etcd leader changed; the last")
    cluster.server.put(podsPath, vllmPod("c", "10.0.0.3"))
    expect(await nextSet()).toContain("10.0.0.3:8000")
  })

  test("ends after its time and goes on", async () => {
    const { nextSet } = await cluster.startPool({ watchTimeoutMs: 1000 })
    await cluster.server.wasAsked("a second watch", ({ path, query }) => path === podsPath && query.has("watch"), 2)
    cluster.server.put(podsPath, vllmPod("c", "10.0.0.3"))
    expect(await nextSet()).toContain("10.0.0.3:8000")
    expect(lists()).toBe(1)
  })

  test("that the server forgets to end is left for a new one", async () => {
    const { nextSet } = await cluster.startPool({ watchTimeoutMs: 1, watchGraceMs: -980 })
    await cluster.server.wasAsked("a third watch", ({ path, query }) => path === podsPath && query.has("watch"), 3)
    cluster.server.put(podsPath, vllmPod("c", "10.0.0.3"))
    expect(await nextSet()).toContain("10.0.0.3:8000")
  })

  test("passes over what can't be read", async () => {
    const { nextLog, nextSet } = await cluster.startPool({ objectBytesMax: 20_000 })
    await nextLog()
    cluster.server.send(
      podsPath,
      "this is not JSON\n[]\n{}\n{\"type\":\"ADDED\"}\n{\"type\":\"LOVED\",\"object\":{}}\n\n"
    )
    expect(await nextLog()).toContain("an event of the pods app=vllm in default can't be read and is passed over")
    expect(await nextLog()).toContain("of the pods app=vllm in default, one is passed over: has no name")
    cluster.server.send(podsPath, `{"type":"ADDED","object":"${"x".repeat(30_000)}"}\n`)
    expect(await nextLog()).toContain("one of the pods app=vllm in default is too large and is passed over")
    cluster.server.put(podsPath, { ...vllmPod("a", "10.0.0.1"), status: { podIP: "somewhere", conditions: [] } })
    cluster.server.put(podsPath, vllmPod("c", "10.0.0.3"))
    expect(await nextSet()).toBe("10.0.0.1:8000 10.0.0.2:8000 10.0.0.3:8000")
  })

  test("that is overloaded waits as long as the server asks, up to the longest pause", async () => {
    const { nextSet } = await cluster.startPool({ retryMaxMs: 50 })
    cluster.server.failNext(/pods\?.*watch=true/, { status: 429, headers: { "retry-after": "3600" } })
    cluster.server.cutConnections()
    await cluster.server.wasAsked(
      "a watch after the refusal",
      ({ path, query }) => path === podsPath && query.has("watch"),
      3
    )
    cluster.server.put(podsPath, vllmPod("c", "10.0.0.3"))
    expect(await nextSet()).toContain("10.0.0.3:8000")
  })

  test("takes a storm of changes in a few sets", async () => {
    const { nextSet } = await cluster.startPool({ settleMs: 50 })
    for (let round = 0; round < 20; round++) {
      for (let i = 10; i < 60; i++) {
        cluster.server.put(podsPath, vllmPod(`p${i}`, `10.0.1.${i}`, { ready: round % 2 === 1 }))
      }
    }
    let sets = 0
    let last = ""
    while (last.split(" ").length < 52) {
      last = await nextSet()
      sets++
    }
    expect(sets).toBeLessThanOrEqual(20)
  })
})
