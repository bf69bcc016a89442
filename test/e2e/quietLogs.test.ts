import { expect, test } from "bun:test"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { keyHash, newKey } from "../../src/http/doors/clientKey.ts"
import { startWarmroute } from "../lib/commandLine.ts"
import { startRawPod } from "../lib/rawPod.ts"
import { emulatedModel, startTestFleet } from "../lib/testFleet.ts"

const answer = "CANARY-ANSWER"

/** A pod that says its models and answers everything else by what the path of the test wants to go wrong. */
const startFaultyPod = (healthyUrl: string) =>
  startRawPod((request, connection) => {
    const send = (head: string, body: string) => {
      connection.send(`HTTP/1.1 ${head}\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`)
      connection.end()
    }
    if (request.method === "GET") {
      void fetch(healthyUrl + request.path).then(async (page) => send("200 OK", await page.text()))
    } else if (request.path.includes("error")) send("500 Internal Server Error", answer)
    else if (request.path.includes("garbage")) connection.send(`${answer} is no HTTP\r\n\r\n`)
    else if (request.path.includes("cut")) {
      connection.send(`HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n${answer}`)
      connection.end()
    } else send("200 OK", JSON.stringify({ choices: [{ text: answer }] }))
  })

test("a run with everything logged holds no prompt, no answer and no key", async () => {
  const fleet = await startTestFleet(1)
  const pod = startFaultyPod(fleet.urls[0] ?? "")
  const directory = await mkdtemp(join(tmpdir(), "warmroute-logs-"))
  const [key, podToken] = [newKey(), "CANARY-POD-TOKEN"]
  const configPath = join(directory, "gateway.yaml")
  const decisions = join(directory, "decisions.jsonl")
  await writeFile(
    configPath,
    JSON.stringify({
      listen: { hostname: "127.0.0.1", port: 0 },
      admin: { port: 0 },
      pods: [pod.url],
      auth: { keys: [{ name: "team-a", hash: keyHash(key) }] },
      podAccess: { tokenVariable: "POD_TOKEN" },
      log: { level: "all", format: "json" },
      decisionLog: { sampleRate: 1, blockHashes: true, path: decisions },
      snapshot: { enabled: false },
      scrape: { interval: "100 millis" },
      limits: { retriesMax: 0, shutdownDelay: "1 millis" }
    })
  )
  const gateway = startWarmroute(["serve", "--config", configPath], { POD_TOKEN: podToken })
  const printed = await gateway.printed("pod is healthy")
  const url = /listens on (http:[\w/.:]+)/.exec(printed)?.[1] ?? ""
  const prompt = "CANARY-PROMPT"
  const post = (query: string, bearer: string, body: string) =>
    fetch(`${url}/v1/completions${query}`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${bearer}` },
      body
    }).then((response) => response.text()).catch(() => "")
  const good = JSON.stringify({ model: emulatedModel, prompt, max_tokens: 4 })
  expect(await post("", key, good)).toContain(answer)
  await post("?error", key, good)
  await post("?garbage", key, good)
  await post("?cut", key, good)
  await post("", "CANARY-WRONG-KEY", good)
  await post("", key, `{"prompt":"${prompt}`)
  await post("", key, JSON.stringify({ model: emulatedModel, prompt: { [prompt]: 1 }, messages: prompt }))
  gateway.signal("SIGTERM")
  const { stderr, stdout } = await gateway.ended
  const logged = stderr + stdout + await readFile(decisions, "utf8")
  expect(logged.length).toBeGreaterThan(1000)
  expect(logged.match(/CANARY-[\w-]+/g)).toBeNull()
  expect(logged).not.toContain(key)
  pod.stop()
  await fleet.stop()
  await rm(directory, { recursive: true })
}, 60_000)
