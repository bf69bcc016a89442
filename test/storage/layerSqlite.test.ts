import { Database } from "bun:sqlite"
import { describe, expect, test } from "bun:test"
import { Effect } from "effect"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { layerNone, type SnapshotError, SnapshotStore } from "../../src/storage/SnapshotStore.ts"
import { live, record, withDirectory } from "./snapshots.ts"

const meta = { outputTokensByModel: { qwen: 180.5 } }
const three = [record("a:1", 1), record("b:1", 2), record("c:1", 3)]

const ids = (pods: ReadonlyArray<{ readonly id: string }>): ReadonlyArray<string> => pods.map(({ id }) => id).sort()

const saved = (path: string) => live(path, (store) => Effect.orDie(store.save(three, meta)))

const loaded = (path: string) => live(path, (store) => store.load)

/** Why a save fails, or "saved". */
const saving = (store: typeof SnapshotStore.Service) =>
  Effect.match(store.save(three, meta), { onFailure: (error) => error.message, onSuccess: () => "saved" })

/** Why it fails; "" when it doesn't. */
const failing = (save: Effect.Effect<void, SnapshotError>) =>
  Effect.match(save, { onFailure: ({ why }) => why, onSuccess: () => "" })

const inDirectory = (name: string, body: (path: string, directory: string) => Promise<unknown>): void =>
  test(name, () => withDirectory((directory) => body(join(directory, "state", "warm.sqlite"), directory)))

describe("a snapshot", () => {
  inDirectory("comes back whole in the next life", async (path) => {
    await saved(path)
    const { log, result } = await loaded(path)
    expect([...result.pods].sort((one, other) => one.savedAtMs - other.savedAtMs)).toEqual(three)
    expect(result.meta).toEqual(meta)
    expect(log).toEqual([])
  })

  inDirectory("is empty before the first save, without a word", async (path) => {
    expect(await loaded(path)).toEqual({ result: { pods: [], meta: undefined }, log: [] })
  })

  inDirectory("replaces the records it gets and keeps the others", async (path) => {
    await saved(path)
    await live(path, (store) => Effect.orDie(store.save([record("b:1", 9)], undefined)))
    const { result } = await loaded(path)
    expect(ids(result.pods)).toEqual(["a:1", "b:1", "c:1"])
    expect(result.pods.find(({ id }) => id === "b:1")?.sketch.blocks[0]).toBe(9)
    expect(result.meta).toEqual(meta)
  })

  inDirectory("forgets the pods it is told to", async (path) => {
    await saved(path)
    await live(path, (store) => Effect.orDie(store.remove(["a:1", "unknown:1", "c:1"])))
    expect(ids((await loaded(path)).result.pods)).toEqual(["b:1"])
  })

  inDirectory("of more pods than a transaction takes is whole too", async (path) => {
    const many = Array.from({ length: 25 }, (_, index) => record(`pod-${index}:1`, index))
    await live(path, (store) => Effect.orDie(store.save(many, meta)), { podsPerTransactionMax: 4 })
    expect((await loaded(path)).result.pods.length).toBe(25)
  })

  inDirectory("leaves no log beside the file after the end, only what it is locked by", async (path, directory) => {
    await saved(path)
    expect(readdirSync(join(directory, "state")).sort()).toEqual(["warm.sqlite", "warm.sqlite.lock"])
  })

  inDirectory("keeps the pods saved last when there are too many", async (path) => {
    await live(path, (store) => Effect.orDie(store.save(three, meta)), { podsMax: 2 })
    expect(ids((await loaded(path)).result.pods)).toEqual(["b:1", "c:1"])
  })

  inDirectory("leaves out a record that is too large and says so", async (path) => {
    const pods = [record("a:1", 1, 100), record("big:1", 2, 50_000), record("c:1", 3, 100)]
    const { result } = await live(path, (store) => failing(store.save(pods, undefined)), { blobBytesMax: 10_000 })
    expect(result).toBe("records of more than 10000 bytes were not kept: big:1")
    expect(ids((await loaded(path)).result.pods)).toEqual(["a:1", "c:1"])
  })

  test("of the layer that keeps nothing is empty", async () => {
    const program = Effect.flatMap(SnapshotStore, (store) => Effect.zipRight(store.save(three, meta), store.load))
    expect((await Effect.runPromise(Effect.provide(program, layerNone))).pods).toEqual([])
  })
})

describe("a file that is left alone", () => {
  const foreign = "belongs to another program and is left alone; choose another path or move it away"

  const leavesAlone = async (path: string, why: string): Promise<void> => {
    const before = readFileSync(path)
    const { log, result } = await live(path, (store) => Effect.zip(store.load, saving(store)))
    expect(result).toEqual([{ pods: [], meta: undefined }, `${path}: ${why}`])
    expect(log).toEqual([`WARN snapshot ${path}: ${why}; starting cold`])
    expect(readFileSync(path).equals(before)).toBe(true)
    expect(readdirSync(join(path, "..")).filter((name) => !name.endsWith(".lock")).length).toBe(1)
  }

  inDirectory("is one that is no database", async (path, directory) => {
    mkdirSync(join(directory, "state"))
    writeFileSync(path, "listen: 0.0.0.0:8080\n")
    await leavesAlone(path, foreign)
  })

  inDirectory("is another program's database", async (path, directory) => {
    mkdirSync(join(directory, "state"))
    const database = new Database(path, { create: true })
    database.run("CREATE TABLE pods (id TEXT PRIMARY KEY)")
    database.run("PRAGMA application_id = 252006674")
    database.close()
    await leavesAlone(path, foreign)
  })

  inDirectory("is a newer warmroute's", async (path) => {
    await saved(path)
    const database = new Database(path)
    database.run("PRAGMA journal_mode = DELETE")
    database.run("PRAGMA user_version = 99")
    database.close()
    await leavesAlone(
      path,
      "was written by a newer warmroute and is left alone; start that version or move the file away"
    )
  })
})

describe("a damaged file", () => {
  const setsAside = async (path: string): Promise<void> => {
    const { log, result } = await live(path, (store) => Effect.zip(store.load, saving(store)))
    expect(result).toEqual([{ pods: [], meta: undefined }, "saved"])
    expect(log.length).toBe(1)
    expect(log[0]).toStartWith(`WARN snapshot ${path}: is damaged and was set aside as ${path}.damaged-`)
    expect((await loaded(path)).result.pods.length).toBe(3)
  }

  inDirectory("with zeros for a header is set aside", async (path) => {
    await saved(path)
    const bytes = readFileSync(path)
    writeFileSync(path, bytes.fill(0, 0, 8192))
    await setsAside(path)
  })

  inDirectory("cut off in the middle is set aside", async (path) => {
    await live(path, (store) => Effect.orDie(store.save(three.map(({ id }) => record(id, 7, 100_000)), meta)))
    truncateSync(path, Math.floor(statSync(path).size / 2 / 8192) * 8192)
    await setsAside(path)
  })

  inDirectory("with a broken page of its tables is set aside", async (path) => {
    await saved(path)
    const bytes = readFileSync(path)
    writeFileSync(path, bytes.fill(0xee, 100, 600))
    await setsAside(path)
  })

  for (const at of [18, 19, 47]) {
    inDirectory(`with a version of the format at byte ${at} that SQLite does not know is set aside`, async (path) => {
      await saved(path)
      writeFileSync(path, readFileSync(path).fill(0xee, at, at + 1))
      await setsAside(path)
    })
  }

  inDirectory("that was emptied is a new one", async (path) => {
    await saved(path)
    truncateSync(path, 0)
    expect(await live(path, (store) => Effect.zip(store.load, saving(store)))).toEqual({
      result: [{ pods: [], meta: undefined }, "saved"],
      log: []
    })
  })

  inDirectory("is kept three times and not more", async (path, directory) => {
    for (let round = 0; round < 6; round++) {
      await saved(path)
      writeFileSync(path, readFileSync(path).fill(0, 0, 8192))
      await loaded(path)
    }
    expect(readdirSync(join(directory, "state")).filter((name) => name.includes(".damaged-")).length).toBe(3)
  })

  inDirectory("found so in the middle of a life is replaced at the next save", async (path) => {
    await saved(path)
    const { log, result } = await live(path, (store) =>
      Effect.gen(function*() {
        yield* store.load
        const bytes = readFileSync(path).fill(0xee, 100, 600)
        rmSync(path)
        writeFileSync(path, bytes)
        return yield* saving(store)
      }))
    expect(result).toBe("saved")
    expect(log[0]).toContain("is damaged and was set aside")
  })

  inDirectory("with one bad record loses that one only, and says so once", async (path) => {
    await saved(path)
    const bytes = readFileSync(path)
    const inTheBlocks = bytes.indexOf(Buffer.alloc(64, 2))
    bytes[inTheBlocks + 32] = 3
    writeFileSync(path, bytes)
    const { log, result } = await loaded(path)
    expect(ids(result.pods)).toEqual(["a:1", "c:1"])
    expect(result.meta).toEqual(meta)
    expect(log).toEqual([`WARN snapshot ${path}: records are damaged and their pods start cold: b:1`])
    expect((await loaded(path)).log).toEqual([])
  })

  inDirectory("with a record under another pod's id loses that one only", async (path) => {
    await saved(path)
    const database = new Database(path)
    database.run("UPDATE pods SET id = 'd:1' WHERE id = 'c:1'")
    database.close()
    expect(ids((await loaded(path)).result.pods)).toEqual(["a:1", "b:1"])
  })

  inDirectory("with a misspelt column is set aside", async (path) => {
    await saved(path)
    const bytes = readFileSync(path)
    bytes.write("ie TEXT", bytes.indexOf("id TEXT"))
    writeFileSync(path, bytes)
    await setsAside(path)
  })

  inDirectory("with a sound record of the wrong shape loses that one only", async (path) => {
    await saved(path)
    const database = new Database(path)
    const strange = new Uint8Array([0x81, 0xa1, 0x61, 0x01])
    const { at } = database.query<{ at: number }, []>("SELECT saved_at_ms AS at FROM pods WHERE id = 'c:1'").get()!
    const checksum = Bun.hash.crc32(strange, Bun.hash.crc32(`${at} c:1`))
    database.query("UPDATE pods SET body = ?, checksum = ? WHERE id = 'c:1'").run(strange, checksum)
    database.close()
    const { log, result } = await loaded(path)
    expect(ids(result.pods)).toEqual(["a:1", "b:1"])
    expect(log).toEqual([`WARN snapshot ${path}: records are damaged and their pods start cold: c:1`])
  })
})

describe("a path that can't be used", () => {
  const refuses = async (path: string, why: string): Promise<void> => {
    const { log, result } = await live(path, (store) => Effect.zip(store.load, saving(store)))
    expect(result[0]).toEqual({ pods: [], meta: undefined })
    expect(result[1]).toStartWith(`${path}: ${why}`)
    expect(log.length).toBe(1)
    expect(log[0]).toStartWith(`WARN snapshot ${path}: ${why}`)
    expect(log[0]).toEndWith("; starting cold")
  }

  inDirectory("is a directory", async (path) => {
    mkdirSync(path, { recursive: true })
    await refuses(path, "is not a plain file; choose another path")
  })

  inDirectory("lies below a plain file", async (_, directory) => {
    writeFileSync(join(directory, "plain"), "")
    await refuses(join(directory, "plain", "warm.sqlite"), "lies below something that is not a directory")
  })

  test("is a device", () => refuses("/dev/full", "is not a plain file; choose another path"))

  // Even root can't make a directory there.
  test.skipIf(process.platform !== "linux")(
    "is where nothing can be written",
    () => refuses("/proc/warmroute/warm.sqlite", "")
  )

  test.skipIf(process.getuid?.() === 0)("is a read-only file", () =>
    withDirectory(async (directory) => {
      const path = join(directory, "warm.sqlite")
      await saved(path)
      chmodSync(path, 0o444)
      await refuses(path, "is read-only; make it writable")
    }))

  inDirectory("is locked by another process until it lets go", async (path) => {
    await saved(path)
    const other = new Database(path)
    other.run("PRAGMA locking_mode = EXCLUSIVE")
    other.run("BEGIN EXCLUSIVE")
    const { log, result } = await live(path, (store) =>
      Effect.gen(function*() {
        const contents = yield* store.load
        const locked = yield* saving(store)
        yield* Effect.sync(() => {
          other.run("ROLLBACK")
          other.close()
        })
        return [contents.pods.length, locked, yield* saving(store)] as const
      }))
    expect(result).toEqual([0, `${path}: is locked by another process`, "saved"])
    expect(log).toEqual([`WARN snapshot ${path}: is locked by another process; starting cold`])
  })

  inDirectory("is full, which costs the new records and not the old ones", async (path) => {
    await saved(path)
    const large = three.map(({ id }) => record(id, 9, 500_000))
    const { result } = await live(path, (store) => failing(store.save(large, meta)), { fileBytesMax: 200_000 })
    expect(result).toBe(`the disk is full, or the file has reached its limit`)
    const after = await loaded(path)
    expect(after.log).toEqual([])
    expect(after.result.pods.map((pod) => pod.sketch.blocks[0]).sort()).toEqual([1, 2, 3])
  })

  inDirectory("is removed while in use and then written anew", async (path) => {
    const { result } = await live(path, (store) =>
      Effect.gen(function*() {
        yield* saving(store)
        for (const suffix of ["", "-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true })
        return yield* saving(store)
      }))
    expect(result).toBe("saved")
    expect(existsSync(path)).toBe(true)
    expect((await loaded(path)).result.pods.length).toBe(3)
  })

  inDirectory("takes too long, which fails that save and not the next", async (path) => {
    await saved(path)
    const other = new Database(path)
    other.run("BEGIN IMMEDIATE")
    const { result } = await live(path, (store) =>
      Effect.gen(function*() {
        const slow = yield* saving(store)
        yield* Effect.sync(() => other.close())
        return [slow, yield* saving(store)]
      }), { busyTimeoutMs: 3_600_000, replyTimeoutMs: 1000 })
    expect(result).toEqual([`${path}: its thread gave no reply within 1000 ms`, "saved"])
  })
})
