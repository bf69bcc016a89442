import { expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { startWarmroute } from "../lib/commandLine.ts"
import { configFile } from "../lib/configFile.ts"
import { textOf } from "../lib/rawHttp.ts"
import type { PodConnection } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { streamCompletion } from "../lib/streamCompletion.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"

/** A pod whose first stream waits to be told to end; the others end at once. */
const slowStartPod = () => {
  const begun = Promise.withResolvers<PodConnection>()
  let requests = 0
  const pod = startScriptedPod((_request, connection) => {
    if (requests++ > 0) return connection.send(streamHead + event("short") + streamEnd)
    connection.send(streamHead + event("one"))
    begun.resolve(connection)
  })
  return { pod, begun: begun.promise }
}

const started = async (limits: Readonly<Record<string, unknown>>) => {
  const { begun, pod } = slowStartPod()
  const settings = {
    listen: { hostname: "127.0.0.1", port: 0 },
    pods: [pod.url],
    scrape: { interval: "100 millis" },
    reload: { watch: false },
    snapshot: { path: "snapshot.sqlite" },
    limits
  }
  const file = configFile(settings)
  const gateway = startWarmroute(["serve", "--config", file.path])
  const [url = ""] = /http:\/\/127\.0\.0\.1:\d+/.exec(await gateway.printed("curl")) ?? []
  const [, operators = ""] = /--admin (http:\S+)/.exec(await gateway.printed("--admin")) ?? []
  const clean = () => {
    pod.stop()
    file.remove()
  }
  return { begun, clean, file, gateway, operators, pod, settings, url }
}

test("SIGTERM: not ready at once, requests are still taken, streams end, the snapshot is written, exit 0", async () => {
  const { begun, clean, file, gateway, operators, url } = await started({ shutdownDelay: "2 s" })
  const streaming = streamCompletion(url, "hello")
  const connection = await begun
  gateway.signal("SIGTERM")
  await gateway.printed("SIGTERM: /readyz is 503 from now on; new requests are taken for 2s more")
  const ready = await fetch(`${url}/readyz`)
  expect([ready.status, ready.headers.get("connection")]).toEqual([503, "close"])
  expect(await ready.json()).toMatchObject({ reasons: ["the gateway is stopping"] })
  const forOperators = await fetch(`${operators}/readyz`)
  expect([forOperators.status, (await forOperators.json()).reasons]).toEqual([503, ["the gateway is stopping"]])
  expect(textOf(await streamCompletion(url, "hello"))).toBe("data: short\n\n")
  await gateway.printed("SIGTERM: no new requests, 1 open request has 30s to end")
  await expect(fetch(`${url}/readyz`)).rejects.toThrow()
  connection.send(event("two") + streamEnd)
  expect(textOf(await streaming)).toBe("data: one\n\ndata: two\n\n")
  const { code, stderr } = await gateway.ended
  expect([code, stderr.endsWith(" info warmroute has stopped\n")]).toEqual([0, true])
  expect(existsSync(join(file.path, "..", "snapshot.sqlite"))).toBe(true)
  clean()
})

test("a stream that outlives the grace ends with an error event, the log counts it, and the exit is still 0", async () => {
  const { begun, clean, gateway, url } = await started({ shutdownDelay: "1 millis", shutdownGrace: "200 millis" })
  const streaming = streamCompletion(url, "hello")
  await begun
  gateway.signal("SIGTERM")
  const answer = await streaming
  expect([answer.complete, textOf(answer).includes(`"code":"gateway_stopping"`)]).toEqual([true, true])
  const { code, stderr } = await gateway.ended
  expect(code).toBe(0)
  expect(stderr).toContain("warning 1 request could not end in time and got the error gateway_stopping\n")
  clean()
})

test("SIGINT, Ctrl-C, waits for no load balancer", async () => {
  const { clean, gateway } = await started({ shutdownDelay: "1 hour" })
  gateway.signal("SIGINT")
  expect((await gateway.ended).code).toBe(0)
  clean()
})

/** Copies of a signal within half a second are one, so the next must come later. */
const nextPress = () => Bun.sleep(600)

test("a second signal ends open requests well at once, writes the snapshot, and exits with 0", async () => {
  const { begun, clean, file, gateway, url } = await started({ shutdownDelay: "1 hour", shutdownGrace: "1 hour" })
  const streaming = streamCompletion(url, "hello")
  await begun
  gateway.signal("SIGTERM")
  gateway.signal("SIGTERM")
  await gateway.printed("new requests are taken for 1h more")
  await nextPress()
  expect((await fetch(`${url}/livez`)).status).toBe(200)
  gateway.signal("SIGTERM")
  const answer = await streaming
  expect([answer.complete, textOf(answer).includes(`"code":"gateway_stopping"`)]).toEqual([true, true])
  const { code, stderr } = await gateway.ended
  expect([code, stderr.includes("info SIGTERM again: open requests end now")]).toEqual([0, true])
  expect(existsSync(join(file.path, "..", "snapshot.sqlite"))).toBe(true)
  clean()
})

test("a second signal during the grace does so too, whichever it is", async () => {
  const { begun, clean, gateway, url } = await started({ shutdownDelay: "1 millis", shutdownGrace: "1 hour" })
  const streaming = streamCompletion(url, "hello")
  await begun
  gateway.signal("SIGTERM")
  await gateway.printed("1 open request has 1h to end; SIGTERM again ends them at once")
  await nextPress()
  gateway.signal("SIGINT")
  expect((await streaming).complete).toBe(true)
  expect((await gateway.ended).code).toBe(0)
  clean()
})

test("without open requests a stop waits for shutdownDelay alone, and not for the grace", async () => {
  const { clean, gateway } = await started({ shutdownDelay: "1 milli", shutdownGrace: "1 hour" })
  gateway.signal("SIGTERM")
  const { code, stderr } = await gateway.ended
  expect([code, stderr.includes("info SIGTERM: no new requests, no request is open\n")]).toEqual([0, true])
  clean()
})

test("SIGHUP reloads the file under a running stream; a bad one is refused with its place; both are in the log", async () => {
  const { begun, clean, file, gateway, settings, url } = await started({ shutdownDelay: "1 millis" })
  const streaming = streamCompletion(url, "hello")
  const connection = await begun
  const reloads = async (outcome: string): Promise<string | undefined> => {
    const page = await (await fetch(`${url}/metrics`)).text()
    return new RegExp(`^warmroute_config_reloads_total\\{outcome="${outcome}"\\} (\\d+)$`, "m").exec(page)?.[1]
  }
  const becomesOne = async (outcome: string): Promise<void> => {
    while (await reloads(outcome) !== "1") await Bun.sleep(10)
  }
  file.write({ ...settings, policy: "round-robin" })
  gateway.signal("SIGHUP")
  await becomesOne("applied")
  file.writeText("limits:\n  retriesMax: lots\n")
  gateway.signal("SIGHUP")
  await becomesOne("refused")
  connection.send(event("two") + streamEnd)
  const answer = await streaming
  expect([textOf(answer), answer.complete]).toEqual(["data: one\n\ndata: two\n\n", true])
  gateway.signal("SIGTERM")
  const { code, stderr } = await gateway.ended
  expect(code).toBe(0)
  expect(stderr).toContain("info configuration read again: 1 setting differs\n")
  expect(stderr).toContain("info   policy.type: marginal-cost -> round-robin\n")
  expect(stderr).toContain(
    `error the configuration is not taken, nothing has changed: ${file.path}:2:3: limits.retriesMax is "lots"`
  )
  clean()
})
