import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { plugin } from "bun"
import { afterAll } from "bun:test"

/** Bun's own 5 s are too few for a busy machine. */
const timeoutMs = 20_000

// Loaded before all tests. Bun 1.4 forgets a default timeout with each new file and reads none from bunfig.toml.
plugin({
  name: "timeout of every test file",
  setup: (build) => {
    build.onLoad({ filter: /\.test\.ts$/ }, async ({ path }) => {
      const text = await Bun.file(path).text()
      const first = `import { setDefaultTimeout as allow } from "bun:test"; allow(${timeoutMs}); `
      return { contents: first + text, loader: "ts" }
    })
  }
})

// What tests leave behind goes with the run.
const scratch = mkdtempSync(join(tmpdir(), "warmroute-tests-"))
process.env["TMPDIR"] = scratch
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
