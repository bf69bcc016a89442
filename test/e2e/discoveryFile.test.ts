import { expect, test } from "bun:test"
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { textOf } from "../lib/rawHttp.ts"
import type { PodConnection } from "../lib/rawPod.ts"
import { startScriptedPod } from "../lib/recordedPod.ts"
import { streamCompletion } from "../lib/streamCompletion.ts"
import { event, streamEnd, streamHead } from "../lib/streamedAnswer.ts"
import { startTestGateway } from "../lib/testGateway.ts"

test("pods of a watched file come, go after draining, and a broken file changes nothing", async () => {
  const dir = mkdtempSync(join(tmpdir(), "warmroute-"))
  const path = join(dir, "pods.yaml")
  const write = (text: string): void => {
    writeFileSync(`${path}.new`, text)
    renameSync(`${path}.new`, path)
  }
  const writePods = (...urls: ReadonlyArray<string>): void =>
    write(`pods:\n${urls.map((url) => `  - url: ${url}\n`).join("")}`)
  const opened = Promise.withResolvers<PodConnection>()
  const first = startScriptedPod((_request, connection) => {
    connection.send(streamHead + event("one"))
    opened.resolve(connection)
  })
  const second = startScriptedPod((_request, connection) =>
    connection.send(streamHead + event("from the second") + streamEnd)
  )
  const ask = () => streamCompletion(gateway.url, "hello")
  writePods(first.url)
  const gateway = await startTestGateway({ podsFile: path })
  await gateway.healthyPods(1)
  const streaming = ask()
  const connection = await opened.promise

  writePods(first.url, second.url)
  await gateway.healthyPods(2)
  writePods(second.url)
  await gateway.healthyPods(1)
  expect(textOf(await ask())).toBe("data: from the second\n\n")

  // The pod that left was drained: its stream goes on to its end.
  connection.send(event("two") + streamEnd)
  const drained = await streaming
  expect(textOf(drained)).toBe("data: one\n\ndata: two\n\n")
  expect(drained.complete).toBe(true)

  write("pods: [ {")
  expect(textOf(await ask())).toBe("data: from the second\n\n")
  writePods(first.url, second.url)
  await gateway.healthyPods(2)
  await gateway.becomesIdle()
  await gateway.stop()
  first.stop()
  second.stop()
  rmSync(dir, { recursive: true })
})
