import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startWarmroute } from "../lib/commandLine.ts"
import { emulatedModel, startTestFleet, type TestFleet } from "../lib/testFleet.ts"
import { repoDir } from "../lib/sourceFiles.ts"

let directory = ""
let fleet: TestFleet

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "binary-"))
  fleet = await startTestFleet(1)
})

afterAll(async () => {
  await fleet.stop()
  rmSync(directory, { recursive: true })
})

/** Builds the one binary as the Dockerfile does. */
const build = async (outfile: string): Promise<void> => {
  const dockerfile = (await Bun.file(join(repoDir, "Dockerfile")).text()).replace(/\\\n\s*/g, "")
  const command = /^RUN bun (build .*) --outfile \S+$/m.exec(dockerfile)?.[1]
  if (command === undefined) throw new Error("the Dockerfile compiles nothing")
  const args = command.split(" ").map((arg) => arg.replaceAll("'", ""))
  const made = Bun.spawn([process.execPath, ...args, "--outfile", outfile], { cwd: repoDir, stderr: "pipe" })
  if (await made.exited !== 0) throw new Error(await new Response(made.stderr).text())
}

test("the compiled binary serves, keeps what it learned and starts warm, with nowhere else to write", async () => {
  const binary = join(directory, "warmroute")
  await build(binary)
  expect(Bun.file(binary).size).toBeLessThan(150 * 1024 * 1024)
  const environment = {
    WARMROUTE_SNAPSHOT_PATH: join(directory, "snapshot.sqlite"),
    WARMROUTE_LIMITS_SHUTDOWN_DELAY: "1 millis",
    HOME: "/nonexistent",
    TMPDIR: "/nonexistent"
  }
  const serve = () =>
    startWarmroute(["serve", "--listen", "127.0.0.1:0", "--pods", fleet.urls.join(",")], environment, [binary])
  const first = serve()
  const url = /listens on (http:\/\/\S+)/.exec(await first.printed("healthy; models"))?.[1] ?? ""
  const answer = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: emulatedModel, prompt: "a prompt of some length ".repeat(50), max_tokens: 4 })
  })
  expect(answer.status).toBe(200)
  await answer.text()
  first.signal("SIGTERM")
  expect(await first.ended).toMatchObject({ code: 0, stderr: expect.not.stringMatching(/WARN|ERROR/) })
  const second = serve()
  expect(await second.printed("healthy; models")).toContain("warm start: 1 pod restored")
  second.signal("SIGTERM")
  expect((await second.ended).code).toBe(0)
}, 60_000)
