import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startWarmroute, warmroute } from "../lib/commandLine.ts"
import { eventually } from "../lib/eventually.ts"
import { emulatedModel, startTestFleet } from "../lib/testFleet.ts"

const directory = mkdtempSync(join(tmpdir(), "warmroute-llmd-"))
afterAll(() => rmSync(directory, { recursive: true }))

const written = (name: string, text: string): string => {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

const ask = (url: string, token?: string): Promise<Response> =>
  fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(token === undefined ? {} : { "x-session-token": token }) },
    body: JSON.stringify({ model: emulatedModel, prompt: "x", max_tokens: 1 })
  })

/** Every port a free one. */
const freePorts = { WARMROUTE_EXTPROC_LISTEN_PORT: "0", WARMROUTE_EXTPROC_HEALTH_PORT: "0" }

describe("a file of llm-d's", () => {
  test("is served: its list of pods, its session tokens and its names of metrics", async () => {
    const fleet = await startTestFleet(3)
    const endpoints = fleet.urls.map((url, index) => {
      const { hostname, port } = new URL(url)
      return { name: `vllm-${index}`, namespace: "ai", address: hostname, port }
    })
    written("pods.yaml", JSON.stringify({ endpoints }))
    const epp = written(
      "epp.yaml",
      `
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
  - { type: file-discovery, parameters: { path: pods.yaml } }
  - type: active-request-scorer
  - type: session-affinity-scorer
dataLayer: { discovery: { pluginRef: file-discovery } }
schedulingProfiles:
  - name: default
    plugins: [{ pluginRef: active-request-scorer }, { pluginRef: session-affinity-scorer, weight: 2 }]
`
    )
    const gateway = startWarmroute(
      ["serve", "--config", epp, "--port", "0", "--snapshot", "off"],
      { ...freePorts, WARMROUTE_LIMITS_SHUTDOWN_DELAY: "1 millis" }
    )
    try {
      const [url = ""] = /http:\/\/localhost:\d+/.exec(await gateway.printed("curl")) ?? []
      const page = async (): Promise<string> => (await fetch(`${url}/metrics`)).text()
      const ready = `llm_d_epp_ready_endpoints{name="warmroute"} 3`
      await eventually("3 healthy pods", async () => (await page()).includes(ready))
      const tokens = new Set<string>()
      for (let i = 0; i < 20; i++) {
        const token = (await ask(url)).headers.get("x-session-token") ?? ""
        tokens.add(token)
        for (let again = 0; again < 3; again++) {
          expect((await ask(url, token)).headers.get("x-session-token")).toBe(token)
        }
      }
      for (const token of tokens) expect(atob(token)).toMatch(/^ai\/vllm-[0-2]$/)
      expect(tokens.size).toBeGreaterThan(1)
      expect(await page()).toContain(
        `llm_d_epp_request_total{model_name="${emulatedModel}",target_model_name="${emulatedModel}"} 80`
      )
    } finally {
      gateway.signal("SIGINT")
      const { stderr } = await gateway.ended
      await fleet.stop()
      expect(stderr).toContain("session tokens are plain: whoever writes one into x-session-token chooses the pod")
    }
  }, 30_000)

  test("has signed session tokens once a variable says so", async () => {
    const fleet = await startTestFleet(1)
    const epp = written(
      "signed.yaml",
      `
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins: [{ type: session-affinity-scorer }]
`
    )
    const gateway = startWarmroute(
      ["serve", "--config", epp, "--port", "0", "--snapshot", "off", "--pods", fleet.urls.join(",")],
      { ...freePorts, WARMROUTE_LIMITS_SHUTDOWN_DELAY: "1 millis", WARMROUTE_ANSWERS_SESSION_TOKENS: "signed" }
    )
    try {
      const [url = ""] = /http:\/\/localhost:\d+/.exec(await gateway.printed("curl")) ?? []
      await eventually("a healthy pod", async () => (await fetch(`${url}/readyz`)).ok)
      const token = (await ask(url)).headers.get("x-session-token") ?? ""
      expect(token).not.toBe("")
      expect(atob(token.replaceAll("-", "+").replaceAll("_", "/"))).not.toBe(new URL(fleet.urls[0] ?? "").host)
    } finally {
      gateway.signal("SIGINT")
      const { stderr } = await gateway.ended
      await fleet.stop()
      expect(stderr).not.toContain("session tokens are plain")
      expect(stderr).toContain("session tokens: snapshots are off, so they are good until this process ends")
    }
  }, 30_000)

  test("that lists what is not supported stops the start, with line, name and the nearest", async () => {
    const epp = written(
      "refused.yaml",
      "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n  - type: header-profile-handler\n"
    )
    const { code, stderr } = await warmroute(["serve", "--config", epp], freePorts)
    expect(code).toBe(1)
    expect(stderr).toContain(`refused.yaml:4:5: plugins[0].type is "header-profile-handler", which is not supported`)
    expect(stderr).toContain("the nearest is a gateway for each profile")
  })

  test("is explained by check, with what marginal-cost would have in its place", async () => {
    const epp = new URL("../fixtures/llmd/flow-control.yaml", import.meta.url).pathname
    const { code, stderr, stdout } = await warmroute(["check", "--offline", epp])
    expect([code, stderr]).toEqual([0, ""])
    expect(stdout).toContain("EndpointPickerConfig (llm-d.ai/v1alpha1)")
    expect(stdout).toMatch(/ {2}queue-scorer +supported +same formula, waiting requests as scraped/)
    expect(stdout).toMatch(/ {2}round-robin-fairness-policy +equivalent +flows of a band take turns/)
    expect(stdout).toContain("WARMROUTE_POLICY=marginal-cost would have in place of")
    expect(stdout).toMatch(/ {2}prefix-cache-scorer +T: own prefill, without what the pod holds/)
    expect(stdout).toContain("2 x queue-scorer + 2 x kv-cache-utilization-scorer + 3 x prefix-cache-scorer")
    expect(stdout).toContain("waiting    1000 requests, 1m at most")
  })
})
