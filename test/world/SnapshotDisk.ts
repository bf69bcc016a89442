import { type Context, Effect } from "effect"
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { SeededRandom } from "../../src/simulator/SeededRandom.ts"
import { sqliteSnapshotDefaults, SqliteSnapshots } from "../../src/storage/layerSqlite.ts"
import { serveSnapshot } from "../../src/storage/serveSnapshot.ts"
import { unpackPod } from "../../src/storage/snapshotBlob.ts"
import { SnapshotFile } from "../../src/storage/SnapshotFile.ts"
import type { SnapshotReply, SnapshotRequest } from "../../src/storage/snapshotMessages.ts"
import type { PodRecord, SnapshotContents, SnapshotStore } from "../../src/storage/SnapshotStore.ts"
import type { VirtualTime } from "./VirtualTime.ts"

export const damages = ["truncated", "flipped", "zeroed", "foreign", "log-cut", "gone"] as const
export type Damage = (typeof damages)[number]

/** What is wrong with the disk now. */
export interface DiskFault {
  /** Why nothing can be written; undefined while it can. */
  readonly why: string | undefined
  readonly slownessMs: number
}
export const noDiskFault: DiskFault = { why: undefined, slownessMs: 0 }

interface DiskHooks {
  readonly onSave: (record: PodRecord) => void
  readonly onViolation: (what: string) => void
}

/**
 * The real snapshot file of a world, in this thread. It outlives gateways: one that is killed leaves what was on the
 * disk at that moment, log and all, and what it still writes afterwards goes nowhere.
 */
export class SnapshotDisk {
  fault: DiskFault = noDiskFault
  /** Why the file itself took nothing, the last time that it did not. */
  refusal: string | undefined
  /** Pods saved since this was emptied. */
  readonly savedLately = new Set<string>()
  private readonly directory = mkdtempSync(join(tmpdir(), "warmroute-world-"))
  private readonly time: VirtualTime
  private readonly hooks: DiskHooks
  private readonly bytesMax: number
  private file: SnapshotFile | undefined
  private copies = 0
  /** By pod: what was saved last, and all that ever was. */
  private readonly latest = new Map<string, string>()
  private readonly ever = new Set<string>()
  private damage: Damage | undefined

  constructor(time: VirtualTime, bytesMax: number, hooks: DiskHooks) {
    this.time = time
    this.bytesMax = bytesMax
    this.hooks = hooks
  }

  /** The store as one process of the gateway has it. */
  forProcess(isKilled: () => boolean): Context.Tag.Service<SnapshotStore> {
    const options = {
      ...sqliteSnapshotDefaults,
      path: this.path,
      fileBytesMax: this.bytesMax,
      busyTimeoutMs: 0,
      podsPerTransactionMax: 1
    }
    const file = new SnapshotFile(options)
    this.file = file
    const store = new SqliteSnapshots(options, (request) => this.ask(file, request, isKilled))
    return { ...store, load: Effect.tap(store.load, (contents) => this.checkLoaded(contents)) }
  }

  /** The process ended in order. */
  close(): void {
    this.file?.close()
    this.file = undefined
  }

  /** The process was killed: the next one finds what was written by now. */
  kill(): void {
    const { file, path } = this
    this.copies++
    for (const suffix of ["", "-wal"]) {
      if (existsSync(path + suffix)) copyFileSync(path + suffix, this.path + suffix)
    }
    file?.close()
    this.file = undefined
  }

  /** Something befalls the file while nobody has it open. False: there is none. */
  spoil(damage: Damage, random: SeededRandom): boolean {
    const { path } = this
    if (damage === "gone") rmSync(path, { force: true })
    const target = damage === "log-cut" ? `${path}-wal` : path
    if (damage !== "gone") {
      if (!existsSync(target)) return false
      const { size } = statSync(target)
      if (damage === "truncated" || damage === "log-cut") truncateSync(target, random.below(size + 1))
      else if (damage === "foreign") writeFileSync(target, "not a snapshot at all, but somebody's notes".repeat(8))
      else this.overwrite(target, damage === "zeroed" ? () => 0 : () => random.below(256), random)
    }
    this.damage = damage
    return true
  }

  dispose(): void {
    this.close()
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** A line of the log without what differs from run to run. */
  nameless(text: string): string {
    return text.replaceAll(this.directory, "DISK")
  }

  private get path(): string {
    return join(this.directory, `snapshot-${this.copies}.sqlite`)
  }

  private overwrite(target: string, byte: () => number, random: SeededRandom): void {
    const bytes = readFileSync(target)
    const from = random.below(bytes.length)
    const to = Math.min(bytes.length, from + 1 + random.below(4096))
    for (let at = from; at < to; at++) bytes[at] = byte()
    writeFileSync(target, bytes)
  }

  private ask(file: SnapshotFile, request: SnapshotRequest, isKilled: () => boolean): Effect.Effect<SnapshotReply> {
    const { why } = this.fault
    return Effect.promise(() => this.time.sleep(this.fault.slownessMs)).pipe(
      Effect.zipRight(Effect.suspend(() => {
        if (isKilled()) return Effect.never
        const isWrite = request._tag === "save" || request._tag === "remove"
        if (why !== undefined && isWrite) return Effect.succeed({ blobs: undefined, fault: why, warnings: [] })
        const reply = serveSnapshot(file, request)
        if (isWrite) this.refusal = reply.fault
        if (reply.fault === undefined) this.note(request)
        return Effect.succeed(reply)
      }))
    )
  }

  private note(request: SnapshotRequest): void {
    if (request._tag === "remove") { for (const id of request.ids) this.latest.delete(id) }
    if (request._tag !== "save") return
    for (const { body, id } of request.pods) {
      const record = unpackPod(id, body)
      if (record === undefined) {
        this.hooks.onViolation(`the record of ${id} can't be read back`)
        continue
      }
      this.latest.set(id, nameOf(record))
      this.ever.add(nameOf(record))
      this.savedLately.add(id)
      this.hooks.onSave(record)
    }
  }

  /** What a start finds is what was saved last; of a spoilt file less, or older, but nothing else. */
  private checkLoaded({ pods }: SnapshotContents): Effect.Effect<void> {
    return Effect.sync(() => {
      const { damage, latest } = this
      this.damage = undefined
      for (const record of pods) {
        const name = nameOf(record)
        if (!this.ever.has(name)) this.hooks.onViolation(`the start finds a record of ${record.id} that nobody saved`)
        if (damage === undefined && latest.get(record.id) !== name) {
          this.hooks.onViolation(`the start finds an old record of ${record.id}`)
        }
      }
      if (damage === undefined && pods.length < latest.size) {
        this.hooks.onViolation(`the start finds ${pods.length} of ${latest.size} records`)
      }
      latest.clear()
      for (const record of pods) latest.set(record.id, nameOf(record))
    })
  }
}

const nameOf = ({ id, lastState, savedAtMs, sketch }: PodRecord): string =>
  `${id} ${savedAtMs} ${lastState.processStartS} ${sketch.kvCapacityTokens} ${Bun.hash.crc32(sketch.blocks)}`
