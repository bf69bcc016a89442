import { describe, expect, test } from "bun:test"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { warmroute } from "../../lib/commandLine.ts"
import { repoDir } from "../../lib/sourceFiles.ts"

const trace = ["--trace", "test/fixtures/traces/mooncake.jsonl", "--time-scale", "4"]

const folder = (): Promise<string> => mkdtemp(join(tmpdir(), "warmroute-plan-"))

describe("warmroute plan", () => {
  test("prints the answers, a plot and progress, and writes a page", async () => {
    const page = join(await folder(), "plan.html")
    const { code, stderr, stdout } = await warmroute(["plan", ...trace, "--share", "0.8", "--html", page])
    expect(code).toBe(0)
    expect(stdout).toContain("objective  TTFT ≤ 2 s and mean TPOT ≤ 50 ms for 80.0 % of requests")
    expect(stdout).toContain("40 requests measured")
    expect(stdout).toMatch(/^marginal-cost +\d+ +\d+ .* than round-robin$/m)
    expect(stdout).toContain("share of requests inside the objective")
    expect(stdout).toContain(`The curves are in ${page}`)
    expect(stderr).toMatch(/^planning mooncake: \d+ %, \d+ fleets? simulated/)
    expect(await Bun.file(page).text()).toStartWith("<!doctype html>")
  }, 60_000)

  test("prints the same JSON for the same seed, however many threads simulate", async () => {
    const asked = ["plan", ...trace, "--share", "0.7", "--pods-max", "16", "--policy", "marginal-cost,random", "--json"]
    const one = await warmroute([...asked, "--threads", "1"])
    expect(one.code).toBe(0)
    expect((await warmroute([...asked, "--threads", "3"])).stdout).toBe(one.stdout)
    const { policies, ...rest } = JSON.parse(one.stdout)
    expect(rest).toEqual({
      workload: "mooncake",
      trace: "test/fixtures/traces/mooncake.jsonl",
      load: "4",
      seed: 1,
      hardware: "qwen3-32b-2xh100",
      gpusPerPod: 2,
      slo: { ttft: 2, tpot: 0.05 },
      share: 0.7,
      podsMax: 16
    })
    for (const { gpus, pods, points, podsSaved } of policies) {
      expect([gpus, podsSaved]).toEqual([pods === null ? null : 2 * pods, null])
      for (const { holds, sloShare } of points) expect(holds).toBe(sloShare >= 0.7)
      if (pods !== null) expect(points.find((point: { pods: number }) => point.pods === pods).holds).toBe(true)
    }
  }, 60_000)

  test("plans for a workload on hardware that calibrate wrote", async () => {
    const file = join(await folder(), "hardware.yaml")
    await Bun.write(file, "hardware:\n  preset: small\n  prefillTokenS: 0.0001\n")
    const load = ["--workload", "zipf", "--load", "2", "--duration", "20", "--slo", "ttft=10s"]
    const pods = ["--hardware", file, "--gpus", "4", "--policy", "marginal-cost"]
    const { code, stdout } = await warmroute(["plan", ...load, ...pods, "--json"])
    expect(code).toBe(0)
    const { gpusPerPod, policies: [answer], slo } = JSON.parse(stdout)
    expect([gpusPerPod, answer.gpus, slo]).toEqual([4, 4 * answer.pods, { ttft: 10, tpot: null }])
  }, 60_000)

  test("says how far the best fleet got and exits with 1 when none holds", async () => {
    const asked = ["plan", ...trace, "--pods-max", "2", "--policy", "marginal-cost"]
    const { code, stderr, stdout } = await warmroute(asked)
    expect(code).toBe(1)
    expect(stdout).toMatch(/marginal-cost: no fleet of up to 2 pods holds it\. The best, \d pods?, has \d+\.\d % of/)
    expect(stderr).toContain("warmroute plan: no policy holds the objective")
  }, 60_000)

  test.each([
    [[], "needs --trace FILE, a record of what clients ask, or --workload NAME (ladder, b2b"],
    [[...trace, "--workload", "chat"], "takes --trace or --workload, not both"],
    [[...trace, "--load", "2"], "takes --time-scale or --load, not both"],
    [["--workload", "chat", "--time-scale", "2"], "--time-scale is for traces with times of arrival; use --load"],
    [
      ["--trace", "nowhere.jsonl"],
      `can't read nowhere.jsonl: it does not exist; relative paths start at ${resolve(repoDir)}\n`
    ],
    [["--trace", "test"], "can't read test: it is a directory\n"],
    [["--trace", "/dev/null"], "/dev/null is empty\n"],
    [[...trace, "--html", "test"], "can't write test: it is a directory\n"],
    [
      [...trace, "--html", "README.md/a/b.html"],
      "can't write README.md/a/b.html: it has a file where a directory must"
    ],
    [["--trace", "package.json"], "package.json is no mooncake trace: line 1: not JSON"],
    [["--trace", "test/fixtures/traces/azure.csv", "--format", "azur"], `no trace format "azur"; there are: mooncake`],
    [[...trace, "--slo", "ttft=2"], "--slo has ttft=2, but that is no duration such as 2s"],
    [
      [...trace, "--slo", "tpot=5ms"],
      "no fleet holds a TPOT of 5 ms: an idle pod of this hardware takes 12.7 ms a token"
    ],
    [[...trace, "--slo", "ttft=20ms"], "no fleet holds a TTFT of 20 ms"],
    [[...trace, "--policy", "best"], `there is no policy "best"`],
    [[...trace, "--gpus", "half"], `--gpus is "half" but must be a whole number from 1 on`],
    [[...trace, "--hardware", "abacus"], `no hardware "abacus"; there are: qwen3-32b-2xh100`],
    [[...trace, "--hardware", "bunfig.yaml"], "can't read bunfig.yaml: it does not exist"],
    [[...trace, "--hardware", "config/examples/pods.yaml"], "pods.yaml:1:1 does not hold settings by name"]
  ])("with %j says what is wrong and exits with 1", async (args, reason) => {
    const { code, stderr } = await warmroute(["plan", ...args])
    expect(stderr).toContain(reason)
    expect(code).toBe(1)
  })
})
