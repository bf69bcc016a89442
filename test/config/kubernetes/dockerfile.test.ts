import { describe, expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { join } from "node:path"
import packageJson from "../../../package.json"

const root = join(import.meta.dir, "../../..")

interface Instruction {
  readonly name: string
  readonly rest: string
}

/** Instructions by stage, continued lines joined. */
const stages = async (): Promise<ReadonlyArray<ReadonlyArray<Instruction>>> => {
  const text = await Bun.file(join(root, "Dockerfile")).text()
  const lines = text.replace(/\\\n\s*/g, "").split("\n").filter((line) => line !== "" && !line.startsWith("#"))
  const result: Array<Array<Instruction>> = []
  for (const line of lines) {
    const [, name = "", rest = ""] = line.match(/^([A-Z]+) (.*)$/) ?? []
    if (name === "FROM") result.push([])
    result.at(-1)?.push({ name, rest })
  }
  return result
}

const restsOf = (stage: ReadonlyArray<Instruction> | undefined, name: string): ReadonlyArray<string> =>
  (stage ?? []).filter((each) => each.name === name).map(({ rest }) => rest)

describe("the image", () => {
  test("is built in one stage and run in another, which has only the binary", async () => {
    const [build, run, ...others] = await stages()
    expect(others).toEqual([])
    expect(restsOf(run, "COPY")).toEqual(["--from=build /warmroute /warmroute"])
    expect(restsOf(run, "RUN")).toEqual([])
    expect([...restsOf(build, "ADD"), ...restsOf(run, "ADD")]).toEqual([])
  })

  test("starts from images of one version", async () => {
    const [build, run] = await stages()
    expect(restsOf(build, "FROM")).toEqual([`oven/bun:${packageJson.engines.bun} AS build`])
    expect(restsOf(run, "FROM")[0]).toMatch(/debian\d+:nonroot$/)
  })

  test("runs as the user of the manifests, by exec form", async () => {
    const [, run] = await stages()
    expect(restsOf(run, "USER")).toEqual(["65532:65532"])
    expect(restsOf(run, "ENTRYPOINT").map((text) => JSON.parse(text))).toEqual([["/warmroute"]])
    expect(restsOf(run, "CMD").map((text) => JSON.parse(text))).toEqual([
      ["serve", "--config", "/etc/warmroute/gateway.yaml"]
    ])
  })

  test("copies what exists, and the context lets it through", async () => {
    const [build] = await stages()
    const copied = restsOf(build, "COPY").flatMap((rest) => rest.split(" ").slice(0, -1))
    const ignored = await Bun.file(join(root, ".dockerignore")).text()
    const allowed = new Set(ignored.split("\n").filter((line) => line.startsWith("!")))
    expect(copied.filter((path) => !existsSync(join(root, path)))).toEqual([])
    expect(copied.filter((path) => !allowed.has(`!${path}`))).toEqual([])
  })

  test("installs exactly what is locked and compiles the thread of the snapshot beside the command line", async () => {
    const [build] = await stages()
    const [install, compile] = restsOf(build, "RUN")
    expect(install).toContain("--frozen-lockfile")
    expect(compile).toContain("--entry-naming='[name].[ext]'")
    expect(compile?.match(/src\/\S+\.ts/g)).toEqual(["src/cli/main.ts", "src/storage/snapshotThread.ts"])
  })
})
