import { expect, test } from "bun:test"
import { fileURLToPath } from "node:url"
import { flagLines, flagValues, namesOf, numberOf, wholeNumberOf } from "../../bench/flags.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

const bench = (...args: ReadonlyArray<string>) => {
  const { exitCode, stderr, stdout } = Bun.spawnSync([process.execPath, "bench/main.ts", ...args], { cwd: root })
  return { exitCode, stderr: stderr.toString(), stdout: stdout.toString() }
}

test("a bench lists its own and the common flags, and runs nothing", () => {
  const { exitCode, stderr, stdout } = bench("soak", "--help")
  expect(stdout).toContain("  --minutes N  how long")
  expect(stdout).toContain("  --json ")
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" })
})

test.each([
  [["soak", "--bogus"], "Unknown option '--bogus'; there are: --minutes, --quick, --json, --help\n"],
  [["pick", "stray"], "Unexpected argument 'stray'; there are: --quick, --json, --help\n"],
  [["toString"], "There is no bench named \"toString\".\n\n"]
])("%p ends with 2 and one readable line", (args, stderr) => {
  expect(bench(...args)).toMatchObject({ exitCode: 2, stderr })
})

test("flags that take a value are text, the others on or off", () => {
  const flags = { rate: { takes: "N", help: "requests a second" }, slow: { help: "take your time" } }
  expect({ ...flagValues(["--rate=3", "--slow"], flags) }).toEqual({ rate: "3", slow: true })
  expect({ ...flagValues([], flags) }).toEqual({})
  expect(flagLines(flags)).toEqual(["  --rate N  requests a second", "  --slow    take your time"])
})

test("numbers and names are refused with what belongs there", () => {
  expect([numberOf("rate", "0.5"), wholeNumberOf("minutes", "3", 1), namesOf("only", "b,a", ["a", "b", "c"])])
    .toEqual([0.5, 3, ["b", "a"]])
  for (const text of ["0", "-1", "x", "", "Infinity"]) expect(() => numberOf("rate", text)).toThrow("above 0")
  for (const text of ["0.5", "0", "", "x"]) expect(() => wholeNumberOf("minutes", text, 1)).toThrow("1 or more")
  expect(() => namesOf("only", "a,d", ["a", "b"])).toThrow("--only d: there are a, b")
})
