import { describe, expect, test } from "bun:test"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { cases, casesRun, casesWanted } from "./fuzz.ts"

// One file runs them all, so that the count at its end is of what this very run executed.
for (const name of readdirSync(import.meta.dir).filter((name) => name.endsWith(".fuzz.ts")).sort()) {
  await import(join(import.meta.dir, name))
}

describe("a run of all targets", () => {
  const targets = Object.keys(cases) as Array<keyof typeof cases>

  test("has executed what each of them promises", () => {
    expect(targets.filter((target) => casesRun(target) < casesWanted(target))).toEqual([])
  })

  test("has executed at least 100,000 cases", () => {
    const sum = targets.reduce((sum, target) => sum + casesRun(target), 0)
    console.log(`fuzz: ${sum} cases were executed`)
    expect(sum).toBeGreaterThanOrEqual(100_000)
  })
})
