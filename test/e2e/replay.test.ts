import { expect, test } from "bun:test"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { warmroute } from "../lib/commandLine.ts"
import { emulatedModel, startTestFleet } from "../lib/testFleet.ts"
import { startTestGateway } from "../lib/testGateway.ts"

const SPEED = 20
const GROUPS = 12
const REQUESTS = 150

/** Text that no other group begins with. */
const groupText = (group: number): string => `Group ${group}. `.concat(`fact ${group * 7919} of ${group}; `.repeat(200))

const replay = async (path: string, ...args: ReadonlyArray<string>) => {
  const argv = ["simulate", "--replay", path, "--hardware", "small", "--load", `${1 / SPEED}`, ...args]
  const { code, stderr, stdout } = await warmroute(argv)
  if (code !== 0) throw new Error(stderr)
  return { stdout, stderr }
}

test(
  "a replayed decision log finds the hits that were observed, and tells what another policy would have found",
  async () => {
    const fleet = await startTestFleet(3, { speed: SPEED })
    const path = join(await mkdtemp(join(tmpdir(), "warmroute-replay-")), "decisions.jsonl")
    const gateway = await startTestGateway({
      pods: fleet.urls,
      config: { decisionLog: { sampleRate: 1, path }, hardware: "small" }
    })
    await gateway.healthyPods(3)
    let asked = 0
    const client = async () => {
      while (asked < REQUESTS) {
        const number = asked++
        const answer = await fetch(`${gateway.url}/v1/completions`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({
            model: emulatedModel,
            prompt: `${groupText(number * 5 % GROUPS)} Question ${number}: ${"why ".repeat(60)}?`,
            max_tokens: 8,
            ignore_eos: true,
            stream: true,
            stream_options: { include_usage: true }
          })
        })
        await answer.text()
      }
    }
    await Promise.all([client(), client(), client()])
    await gateway.becomesIdle()
    await gateway.stop()
    await fleet.stop()
    expect(await Bun.file(path).text()).not.toMatch(/fact|Question|why/)

    const { observed, pods, results, warnings } = JSON.parse(
      (await replay(path, "--policy", "random", "--json")).stdout
    )
    expect({ pods, warnings, policy: observed.policy }).toEqual({ pods: 3, warnings: [], policy: "marginal-cost" })
    expect(observed.ttftMean).toBeGreaterThan(0)
    const [logged, other] = results
    expect([logged.policy, other.policy]).toEqual(["marginal-cost", "random"])
    expect(logged.requests).toBe(observed.requests)
    expect(observed.hitRatio).toBeGreaterThan(0.8)
    expect(Math.abs(logged.hitRatio - observed.hitRatio)).toBeLessThan(0.04)
    expect((await replay(path)).stdout).toMatch(/^policy .*\nobserved \(marginal-cost\) .*\nmarginal-cost /)
  },
  60_000
)
