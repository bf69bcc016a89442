import { expect, test } from "bun:test"
import { startWarmroute } from "../config/commandLine.ts"
import { configFile } from "../lib/configFile.ts"
import { textOf } from "../lib/rawHttp.ts"
import type { PodConnection } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { streamCompletion } from "../lib/streamCompletion.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"

test("a scheduler that crashes until it is given up ends the process in order: streams finish, the log says why, exit 1", async () => {
  const begun = Promise.withResolvers<PodConnection>()
  const pod = startScriptedPod((_request, connection) => {
    connection.send(streamHead + event("one"))
    begun.resolve(connection)
  })
  const file = configFile({
    listen: { hostname: "127.0.0.1", port: 0 },
    pods: [pod.url],
    scrape: { interval: "100 millis" },
    reload: { watch: false },
    snapshot: { enabled: false },
    limits: { askDeadline: "10 s" }
  })
  const command = [process.execPath, "--preload", "./test/lib/explainDefect.ts", "src/cli/main.ts"]
  const gateway = startWarmroute(["serve", "--config", file.path], {}, command)
  try {
    const [url = ""] = /http:\/\/127\.0\.0\.1:\d+/.exec(await gateway.printed("curl")) ?? []
    const [, operators = ""] = /--admin (http:\S+)/.exec(await gateway.printed("--admin")) ?? []
    const streaming = streamCompletion(url, "hello")
    const connection = await begun.promise
    const body = JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "Hi" }] })
    const explain = () => fetch(`${operators}/warmroute/explain`, { method: "POST", body }).then(({ status }) => status)
    expect(await explain()).toBe(500)
    // Beyond its budget of restarts.
    await Promise.all(Array.from({ length: 12 }, () => explain().catch(() => 0)))
    const said = await gateway.printed("1 open request has 30s to end")
    expect(said).toContain(
      "warmroute has to stop, its scheduler actor is beyond recovery: it crashed more than 10 times"
    )
    connection.send(event("two") + streamEnd)
    const answer = await streaming
    expect([answer.complete, textOf(answer)]).toEqual([true, "data: one\n\ndata: two\n\n"])
    const { code, stderr } = await gateway.ended
    expect([code, stderr.match(/actor scheduler crashed; restarts/g)?.length]).toEqual([1, 10])
  } finally {
    gateway.signal("SIGTERM")
    gateway.signal("SIGTERM")
    pod.stop()
    file.remove()
  }
})
