import { expect, test } from "bun:test"
import { withDirectory } from "./snapshots.ts"

const script = new URL("fullDisk.ts", import.meta.url).pathname

/** A disk of 1 MiB that only the child sees; no root is needed where the system lets users have namespaces. */
const ownDisk = "mount -t tmpfs -o size=1m none \"$1\" && exec \"$0\" \"$2\" \"$1\" disk"
const canMount = process.platform === "linux" &&
  Bun.spawnSync(["unshare", "-Urm", "sh", "-c", "mount -t tmpfs none /tmp"], { stderr: "ignore" }).exitCode === 0

const run = async (...command: ReadonlyArray<string>) => {
  const child = Bun.spawn([...command], { stdout: "pipe", stderr: "pipe" })
  const [code, out, err] = await Promise.all([
    child.exited,
    new Response(child.stdout).text(),
    new Response(child.stderr).text()
  ])
  expect([code, err]).toEqual([0, ""])
  return JSON.parse(out) as ReadonlyArray<ReadonlyArray<unknown>>
}

test.skipIf(!canMount)(
  "a full disk costs what does not fit on it, and nothing else, and is got over",
  () =>
    withDirectory(async (directory) => {
      const [filling, full] = await run("unshare", "-Urm", "sh", "-c", ownDisk, process.execPath, directory, script)
      expect(filling).toEqual(["saved", "the disk is full, or the file has reached its limit", "saved", [3, 3, 3]])
      expect(full?.slice(0, 2)).toEqual(["ENOSPC", 0])
      expect(full?.[2]).toContain("disk")
      expect(full?.slice(3)).toEqual(["saved", [5, 5, 5]])
    }),
  30_000
)

test.skipIf(process.platform === "win32")(
  "so does a file that may grow no more",
  () =>
    withDirectory(async (directory) => {
      const limited = "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$2\" \"$1\" limit"
      const [filling] = await run("sh", "-c", limited, process.execPath, directory, script)
      expect(filling?.[0]).toBe("saved")
      expect(filling?.[1]).toContain("disk")
      expect(filling?.slice(2)).toEqual(["saved", [3, 3, 3]])
    }),
  30_000
)
