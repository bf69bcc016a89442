import { describe, expect, test } from "bun:test"
import { FastCheck as fc } from "effect"
import { copyFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { SnapshotFile } from "../../src/storage/SnapshotFile.ts"
import { fileOptions, generation } from "./generations.ts"
import { withDirectory } from "./snapshots.ts"

const kills = 20

/** Starts a writer, waits for its first save, kills it `afterMs` later; the last generation that it called saved. */
const killedWriter = async (path: string, first: number, afterMs: number): Promise<number> => {
  const writer = Bun.spawn([process.execPath, new URL("writer.ts", import.meta.url).pathname, path, String(first)], {
    stdout: "pipe",
    stderr: "inherit"
  })
  const reader = writer.stdout.getReader()
  const decoder = new TextDecoder()
  let said = ""
  let killing = false
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    said += decoder.decode(piece.value, { stream: true })
    if (killing || !said.includes("\n")) continue
    killing = true
    setTimeout(() => writer.kill("SIGKILL"), afterMs)
  }
  await writer.exited
  return Number(said.slice(0, said.lastIndexOf("\n")).split("\n").at(-1))
}

describe("a writer that is killed", () => {
  test(`at ${kills} random instants never leaves a torn or lost snapshot`, () =>
    withDirectory(async (directory) => {
      const path = join(directory, "warm.sqlite")
      let next = 1
      for (let kill = 0; kill < kills; kill++) {
        const said = await killedWriter(path, next, Math.random() * 40)
        const file = new SnapshotFile(fileOptions(path))
        const { damagedIds, meta, pods } = file.load()
        file.close()
        expect([...file.takeWarnings(), ...damagedIds]).toEqual([])
        expect(pods.length).toBe(20)
        const number = pods[0]?.savedAtMs ?? 0
        expect(number).toBeGreaterThanOrEqual(said)
        expect(pods).toEqual(expect.arrayContaining([...generation(number)]))
        expect(meta).toEqual(new Uint8Array([number % 256]))
        next = number + 1
      }
    }), 120_000)
})

describe("a file with bytes changed at random", () => {
  test(
    "loads what is sound or starts cold, and can be saved to unless it looks like another's",
    () =>
      withDirectory((directory) => {
        const path = join(directory, "warm.sqlite")
        const written = new SnapshotFile(fileOptions(path))
        written.save(generation(7), new Uint8Array([7]))
        written.close()
        const sound = readFileSync(path)
        const change = fc.tuple(fc.nat(sound.length - 1), fc.integer({ min: 1, max: 255 }))
        fc.assert(
          fc.property(fc.array(change, { minLength: 1, maxLength: 20 }), (changes) => {
            const bytes = Buffer.from(sound)
            for (const [at, mask] of changes) bytes[at] = (bytes[at] ?? 0) ^ mask
            for (const suffix of ["-wal", "-shm", "-journal"]) rmSync(`${path}${suffix}`, { force: true })
            writeFileSync(path, bytes)
            const file = new SnapshotFile(fileOptions(path))
            for (const pod of file.load().pods) expect(generation(7)).toContainEqual(pod)
            try {
              file.save(generation(8), undefined)
            } catch (cause) {
              expect(String(cause)).toContain("left alone")
            }
            file.close()
          }),
          { numRuns: 60 }
        )
      }),
    60_000
  )
})

describe("a file that was cut beside its log", () => {
  /** Small enough that a cut takes whole records, which SQLite notices only as it reads them. */
  const few = (savedAtMs: number) =>
    generation(savedAtMs).slice(0, 5).map((pod, at) =>
      Object.assign({}, pod, { body: new Uint8Array(9000).fill(at + savedAtMs) })
    )

  test(
    "is set aside wherever the cut is, and what is saved next is there at the next start",
    () =>
      withDirectory((directory) => {
        const path = join(directory, "warm.sqlite")
        const older = new SnapshotFile(fileOptions(path))
        older.save(few(1), undefined)
        older.close()
        const writer = new SnapshotFile(fileOptions(path))
        writer.save(few(2).slice(0, 2), undefined)
        const { size } = statSync(path)
        for (let cut = 1; cut <= 16; cut++) {
          // As a writer leaves it that is killed: the log is not folded in.
          const killed = join(directory, `killed-${cut}.sqlite`)
          for (const suffix of ["", "-wal"]) copyFileSync(path + suffix, killed + suffix)
          truncateSync(killed, Math.floor((size * cut) / 17))
          const file = new SnapshotFile(fileOptions(killed))
          expect(file.load().pods).toEqual([])
          expect(file.takeWarnings().join()).toContain("is damaged and was set aside")
          file.save(generation(3), undefined)
          file.close()
          const next = new SnapshotFile(fileOptions(killed))
          expect(next.load().pods).toHaveLength(20)
          expect(next.takeWarnings()).toEqual([])
          next.close()
        }
        writer.close()
      }),
    60_000
  )
})
