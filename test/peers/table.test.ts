import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import ts from "typescript"
import { nodesOf, type SourceFile, sourceFiles } from "../lib/sourceFiles.ts"

interface Row {
  readonly item: string
  readonly applies: string
  /** As written in the last column. */
  readonly proof: string
  readonly tests: ReadonlyArray<readonly [file: string, name: string]>
}

const rows = readFileSync(join(import.meta.dir, "README.md"), "utf8")
  .split("\n")
  .filter((line) => /^\| (?:A\d+|D\d+|also) \|/.test(line))
  .map((line): Row => {
    const [item = "", , applies = "", proof = ""] = line.split("|").slice(1).map((cell) => cell.trim())
    const named = [...proof.matchAll(/`([\w/.-]+\.(?:test|fuzz)\.ts)` "([^"]+)"/g)]
    return { item, applies, proof, tests: named.map(([, file = "", name = ""]) => [`test/${file}`, name]) }
  })

/** The names of `test(…)` and `test.each(…)(…)` calls. */
const namesIn = ({ tree }: SourceFile): ReadonlyArray<string> =>
  [...nodesOf(tree)].flatMap((node) => {
    if (!ts.isCallExpression(node) || !/^test(?:$|\.each\b)/.test(node.expression.getText(tree))) return []
    const [name] = node.arguments
    return name !== undefined && ts.isStringLiteralLike(name) ? [name.text] : []
  })

const testNames = new Map(sourceFiles("test").map((file) => [file.path, namesIn(file)]))

describe("the table of peers' failures", () => {
  test("names only tests that there are", () => {
    const missing = rows.flatMap(({ tests }) => tests).filter(([file, name]) => !testNames.get(file)?.includes(name))
    expect(missing).toEqual([])
  })

  test("has all items, each with a test or the reason why it does not apply", () => {
    const items = new Set(rows.map(({ item }) => item))
    const wanted = ["A", "D"].flatMap((kind) =>
      Array.from({ length: kind === "A" ? 25 : 15 }, (_, i) => `${kind}${i + 1}`)
    )
    expect(wanted.filter((item) => !items.has(item))).toEqual([])
    const wrong = rows.filter(({ applies, proof, tests }) =>
      applies === "no" ? tests.length > 0 || proof === "" : tests.length === 0 || !["yes", "part"].includes(applies)
    )
    expect(wrong).toEqual([])
  })

  test("has a row for every test of its folder", () => {
    const named = new Set(rows.flatMap(({ tests }) => tests.map(([file, name]) => `${file} ${name}`)))
    const own = [...testNames].filter(([file]) => file.startsWith("test/peers/") && !file.endsWith("table.test.ts"))
    const untold = own.flatMap(([file, names]) => names.map((name) => `${file} ${name}`)).filter((each) =>
      !named.has(each)
    )
    expect(own.length).toBeGreaterThan(5)
    expect(untold).toEqual([])
  })
})
