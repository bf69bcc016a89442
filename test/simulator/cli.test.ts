import { describe, expect, test } from "bun:test"
import { warmroute } from "../lib/commandLine.ts"

const simulate = (...args: ReadonlyArray<string>) => warmroute(["simulate", ...args])

describe("warmroute simulate", () => {
  test("prints JSON with a result for each policy, and progress on stderr", async () => {
    const args = ["--workload", "zipf", "--load", "5", "--duration", "20", "--policy", "random,marginal-cost"]
    const { code, stderr, stdout } = await simulate(...args, "--seed", "4", "--pods", "2", "--json")
    expect(code).toBe(0)
    const { results, ...run } = JSON.parse(stdout)
    expect(run).toEqual({ workload: "zipf", load: "5", seed: 4, pods: 2 })
    expect(results.map(({ policy }: { policy: string }) => policy)).toEqual(["random", "marginal-cost"])
    for (const result of results) {
      for (const key of ["ttftMean", "ttftP50", "ttftP99", "tpotMean", "outputTokensPerSecond"]) {
        expect(result[key]).toBeGreaterThan(0)
      }
      for (const key of ["hitRatio", "sloShare"]) expect(result[key]).toBeWithin(0, 1.000_001)
    }
    expect(stderr).toMatch(/zipf 5, random: \d+ requests measured/)
    expect(stderr).toMatch(/zipf 5, marginal-cost: \d+ requests measured/)
  })

  test("plays a trace and prints a table", async () => {
    const args = ["--trace", "test/fixtures/traces/claude-code.jsonl", "--format", "claude-code", "--load", "10"]
    const { code, stdout } = await simulate(...args, "--duration", "60", "--policy", "round-robin")
    expect(code).toBe(0)
    const [head, row, ...rest] = stdout.trimEnd().split("\n")
    expect(head).toMatch(/^policy .*TTFT mean s.*inside SLO/)
    expect(row).toMatch(/^round-robin +\d/)
    expect(rest).toEqual([])
  })

  test.each([
    [["--workload", "ladders"], `no workload "ladders"; there are: ladder, b2b`],
    [["--load", "much"], `--load is "much" but must be a number above 0`],
    [["--workload", "chat", "--trace", "nowhere.jsonl"], "takes one of --workload, --trace and --replay"],
    [["--policy", "best"], `there is no policy "best"`],
    [["--trace", "nowhere.jsonl"], "can't read nowhere.jsonl: it does not exist"],
    [["--replay", "test"], "can't read test: it is a directory"],
    [["--replay", "/dev/null"], "/dev/null is empty"],
    [["--trace", "package.json"], "package.json is no mooncake trace: line 1: not JSON"],
    [["--hardware", "abacus"], `no hardware "abacus"`],
    [["--fleet", "navy"], `no fleet "navy"; there are: even, half-slow`]
  ])("with %p says what is wrong and exits with 1", async (args, reason) => {
    const { code, stderr } = await simulate(...args)
    expect(code).toBe(1)
    expect(stderr).toContain(reason)
  })
})
