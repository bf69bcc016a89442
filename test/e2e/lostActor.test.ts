import { describe, expect, test } from "bun:test"
import { startWarmroute } from "../lib/commandLine.ts"
import { configFile } from "../lib/configFile.ts"
import { textOf } from "../lib/rawHttp.ts"
import type { PodConnection } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { streamCompletion } from "../lib/streamCompletion.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"

/** A gateway as a process with a defect preloaded, in the middle of a stream. */
const startDefective = async (defect: string, environment: Record<string, string> = {}) => {
  const begun = Promise.withResolvers<PodConnection>()
  const pod = startScriptedPod((_request, connection) => {
    connection.send(streamHead + event("one"))
    begun.resolve(connection)
  })
  const listOf = (...urls: ReadonlyArray<string>) => ({ pods: urls.map((url) => ({ url })) })
  const list = configFile(listOf(pod.url))
  const file = configFile({
    listen: { hostname: "127.0.0.1", port: 0 },
    discovery: { file: { path: list.path, poll: "20 millis" } },
    scrape: { interval: "100 millis" },
    reload: { watch: false },
    snapshot: { enabled: false },
    limits: { askDeadline: "10 s" }
  })
  const command = [process.execPath, "--preload", defect, "src/cli/main.ts"]
  const gateway = startWarmroute(["serve", "--config", file.path], environment, command)
  const stop = () => {
    gateway.signal("SIGTERM")
    gateway.signal("SIGTERM")
    pod.stop()
    file.remove()
    list.remove()
  }
  try {
    const [url = ""] = /http:\/\/127\.0\.0\.1:\d+/.exec(await gateway.printed("curl")) ?? []
    const [, operators = ""] = /--admin (http:\S+)/.exec(await gateway.printed("--admin")) ?? []
    const streaming = streamCompletion(url, "hello")
    const connection = await begun.promise
    return {
      gateway,
      operators,
      /** Another list than all before, with a second pod that nobody hears of. */
      listAnother: (port: number) => list.write(listOf(pod.url, `http://127.0.0.1:${port}`)),
      /** The gateway has to stop for this reason: the stream ends whole, the process with 1. */
      stopsInOrder: async (why: string) => {
        expect(await gateway.printed("1 open request has 30s to end")).toContain(`warmroute has to stop, ${why}`)
        connection.send(event("two") + streamEnd)
        const answer = await streaming
        expect([answer.complete, textOf(answer)]).toEqual([true, "data: one\n\ndata: two\n\n"])
        const { code, stderr } = await gateway.ended
        expect(code).toBe(1)
        return stderr
      },
      stop
    }
  } catch (cause) {
    stop()
    throw cause
  }
}

describe("an actor that crashes until it is given up ends the process in order: streams finish, the log says why, exit 1", () => {
  test("the scheduler", async () => {
    const { operators, stop, stopsInOrder } = await startDefective("./test/lib/explainDefect.ts")
    try {
      const body = JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "Hi" }] })
      const explain = () =>
        fetch(`${operators}/warmroute/explain`, { method: "POST", body }).then(({ status }) => status)
      expect(await explain()).toBe(500)
      // Beyond its budget of restarts.
      await Promise.all(Array.from({ length: 12 }, () => explain().catch(() => 0)))
      const said = await stopsInOrder(
        "its scheduler actor is beyond recovery: it crashed more than 10 times"
      )
      expect(said.match(/actor scheduler crashed; restarts/g)?.length).toBe(10)
    } finally {
      stop()
    }
  })

  test.each(["pool", "discovery"])("the %s", async (actor) => {
    const { gateway, listAnother, stop, stopsInOrder } = await startDefective("./test/lib/actorDefect.ts", {
      CRASHING_ACTOR: actor
    })
    try {
      // The next one waits until it has restarted.
      for (const backoffMs of actor === "pool" ? [50, 100, 200, 400, 800] : [100, 200, 400, 800, 1600]) {
        listAnother(backoffMs)
        await gateway.printed(`actor ${actor} crashed; restarts in ${backoffMs} ms`)
      }
      listAnother(9)
      await stopsInOrder(`its ${actor} actor is beyond recovery: it crashed more than 5 times`)
    } finally {
      stop()
    }
  })
})
