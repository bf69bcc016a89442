import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import { statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { SnapshotFile } from "../../src/storage/SnapshotFile.ts"
import { eventually } from "../lib/eventually.ts"
import { fileOptions, generation } from "./generations.ts"
import { live, record, withDirectory } from "./snapshots.ts"

const inUse = "is in use by another process, so this one saves nothing until that one has ended; " +
  "give each gateway a snapshot.path of its own"

/** Another process that saves one generation after another; it has saved once when this resolves. */
const otherProcess = async (path: string, first = 1) => {
  const writer = Bun.spawn([process.execPath, new URL("writer.ts", import.meta.url).pathname, path, String(first)], {
    stdout: "pipe",
    stderr: "pipe"
  })
  const reader = writer.stdout.getReader()
  const { done } = await reader.read()
  if (done) throw new Error(await new Response(writer.stderr).text())
  // Nothing stops it but the signal, so its pipe must not fill.
  const drained = (async () => {
    while (!(await reader.read()).done);
  })()
  return {
    kill: async () => {
      writer.kill("SIGKILL")
      await writer.exited
      await drained
    }
  }
}

const failureOf = (act: () => void): string => {
  try {
    act()
    return "saved"
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause)
  }
}

describe("two processes on one path", () => {
  test(
    "are one that saves, and one that reads what is there, says so and saves nothing",
    () =>
      withDirectory(async (directory) => {
        const path = join(directory, "warm.sqlite")
        const other = await otherProcess(path)
        try {
          const { log, result } = await live(path, (store) =>
            Effect.all([
              Effect.map(store.load, ({ pods }) => pods.length),
              Effect.match(store.save([record("mine:1", 1)], undefined), {
                onFailure: ({ message }) => message,
                onSuccess: () => "saved"
              })
            ]))
          // The writer's records are no packed ones, so those that are read are reported and left out.
          expect(log[0]).toBe(`WARN snapshot ${path}: ${inUse}`)
          expect(result).toEqual([0, `${path}: ${inUse}`])
          const reader = new SnapshotFile(fileOptions(path))
          expect(reader.load().pods.map(({ id }) => id).sort()).toEqual(generation(0).map(({ id }) => id).sort())
          expect(failureOf(() => reader.remove(["pod-1:8000"]))).toBe(inUse)
          reader.close()
        } finally {
          await other.kill()
        }
      }),
    30_000
  )

  test(
    "after kill -9 of the one, the other takes the path over, and so does the next start",
    () =>
      withDirectory(async (directory) => {
        const path = join(directory, "warm.sqlite")
        const other = await otherProcess(path)
        const waiting = new SnapshotFile(fileOptions(path))
        waiting.load()
        expect(waiting.takeWarnings()).toEqual([inUse])
        await other.kill()
        await eventually("the path is free", () => failureOf(() => waiting.save(generation(9), undefined)) === "saved")
        waiting.close()
        const killed = await otherProcess(path, 10)
        await killed.kill()
        const next = new SnapshotFile(fileOptions(path))
        expect(next.load().pods.length).toBe(20)
        expect(next.takeWarnings()).toEqual([])
        next.save(generation(11), undefined)
        next.close()
        expect(statSync(`${path}.lock`).size).toBe(0)
      }),
    30_000
  )

  test("on a damaged file leave it to the one that saves", () =>
    withDirectory((directory) => {
      const path = join(directory, "warm.sqlite")
      const first = new SnapshotFile(fileOptions(path))
      first.save(generation(1), undefined)
      const size = statSync(path).size
      const second = new SnapshotFile(fileOptions(path))
      writeFileSync(path, new Uint8Array(size))
      expect(second.load().pods).toEqual([])
      expect(second.takeWarnings()).toEqual([`is damaged, and ${inUse}; starting cold`])
      first.close()
      second.close()
    }))
})

test("a lock that can't be made fails the save, with the reason, and not the load", () =>
  withDirectory((directory) => {
    const path = join(directory, "warm.sqlite")
    writeFileSync(`${path}.lock`, "somebody's own file\n".repeat(100))
    const file = new SnapshotFile(fileOptions(path))
    expect(file.load().pods).toEqual([])
    expect(file.takeWarnings()).toEqual([])
    expect(failureOf(() => file.save(generation(1), undefined))).toStartWith(`can't be locked by ${path}.lock`)
    file.close()
  }))
