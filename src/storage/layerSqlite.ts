import { Effect, Layer } from "effect"
import { packMeta, packPod, unpackMeta, unpackPod } from "./snapshotBlob.ts"
import type { SnapshotBlobs, SnapshotFileOptions } from "./SnapshotFile.ts"
import type { SnapshotReply, SnapshotRequest } from "./snapshotMessages.ts"
import {
  type MetaRecord,
  type PodRecord,
  type SnapshotContents,
  SnapshotError,
  SnapshotStore
} from "./SnapshotStore.ts"
import { ThreadedSnapshotFile } from "./ThreadedSnapshotFile.ts"

export interface SqliteSnapshotOptions extends SnapshotFileOptions {
  /** A record that packs to more is not kept. */
  readonly blobBytesMax: number
  /** A save of more pods is several transactions, so that packing them never stalls the event loop. */
  readonly podsPerTransactionMax: number
  /** A thread that takes longer is given up and started anew. */
  readonly replyTimeoutMs: number
}

export const sqliteSnapshotDefaults: Omit<SqliteSnapshotOptions, "path"> = {
  blobBytesMax: 16 * 1024 * 1024,
  podsMax: 4096,
  fileBytesMax: 4 * 1024 * 1024 * 1024,
  busyTimeoutMs: 2000,
  damagedKeptMax: 3,
  podsPerTransactionMax: 8,
  replyTimeoutMs: 30_000
}

const empty: SnapshotContents = { pods: [], meta: undefined }
const idsNamedMax = 5

const namesOf = (ids: ReadonlyArray<string>): string =>
  ids.slice(0, idsNamedMax).join(", ") + (ids.length > idsNamedMax ? ", …" : "")

const batchesOf = (pods: ReadonlyArray<PodRecord>, size: number): ReadonlyArray<ReadonlyArray<PodRecord>> =>
  pods.length === 0
    ? [[]]
    : Array.from({ length: Math.ceil(pods.length / size) }, (_, batch) => pods.slice(batch * size, (batch + 1) * size))

const unpackAll = ({ damagedIds, meta, pods }: SnapshotBlobs) => {
  const bad = [...damagedIds]
  const outputLengths = meta === undefined ? undefined : unpackMeta(meta)
  const records = pods.flatMap(({ body, id }) => {
    const record = unpackPod(id, body)
    if (record === undefined) bad.push(id)
    return record ?? []
  })
  return { contents: { pods: records, meta: outputLengths }, bad }
}

/** The store over whatever serves its requests in order, one at a time; a thread, outside of tests. */
export class SqliteSnapshots {
  readonly load: Effect.Effect<SnapshotContents>
  private readonly options: SqliteSnapshotOptions
  private readonly ask: (request: SnapshotRequest) => Effect.Effect<SnapshotReply>

  constructor(options: SqliteSnapshotOptions, ask: (request: SnapshotRequest) => Effect.Effect<SnapshotReply>) {
    this.options = options
    this.ask = (request) =>
      Effect.tap(ask(request), ({ warnings }) => Effect.forEach(warnings, (text) => this.warn(text)))
    this.load = Effect.flatMap(this.ask({ _tag: "load" }), ({ blobs, fault }) =>
      blobs === undefined
        ? Effect.as(this.warn(`${fault ?? "could not be read"}; starting cold`), empty)
        : this.unpacked(blobs))
  }

  readonly save = (
    pods: ReadonlyArray<PodRecord>,
    meta: MetaRecord | undefined
  ): Effect.Effect<void, SnapshotError> => {
    const batches = batchesOf(pods, this.options.podsPerTransactionMax)
    return Effect.flatMap(
      Effect.forEach(batches, (batch, index) => this.saveBatch(batch, index === batches.length - 1 ? meta : undefined)),
      (tooLarge) => this.refuseTooLarge(tooLarge.flat())
    )
  }

  readonly remove = (ids: ReadonlyArray<string>): Effect.Effect<void, SnapshotError> =>
    ids.length === 0 ? Effect.void : this.change({ _tag: "remove", ids })

  /** Returns the pods whose records are too large. */
  private saveBatch(
    batch: ReadonlyArray<PodRecord>,
    meta: MetaRecord | undefined
  ): Effect.Effect<ReadonlyArray<string>, SnapshotError> {
    return Effect.suspend(() => {
      const packed = batch.map((pod) => ({ id: pod.id, savedAtMs: pod.savedAtMs, body: packPod(pod) }))
      const pods = packed.filter(({ body }) => body.byteLength <= this.options.blobBytesMax)
      const tooLarge = packed.filter((each) => !pods.includes(each)).map(({ id }) => id)
      const packedMeta = meta === undefined ? undefined : packMeta(meta)
      return Effect.as(this.change({ _tag: "save", pods, meta: packedMeta }), tooLarge)
    })
  }

  private refuseTooLarge(ids: ReadonlyArray<string>): Effect.Effect<void, SnapshotError> {
    return ids.length === 0
      ? Effect.void
      : this.fail(`records of more than ${this.options.blobBytesMax} bytes were not kept: ${namesOf(ids)}`)
  }

  private unpacked(blobs: SnapshotBlobs): Effect.Effect<SnapshotContents> {
    return Effect.gen(this, function*() {
      const { bad, contents } = unpackAll(blobs)
      if (bad.length > 0) {
        yield* this.warn(`records are damaged and their pods start cold: ${namesOf(bad)}`)
        // Else they would be reported at each start until their pods are saved again.
        yield* Effect.ignore(this.remove(bad))
      }
      return contents
    })
  }

  private change(request: SnapshotRequest): Effect.Effect<void, SnapshotError> {
    return Effect.flatMap(this.ask(request), ({ fault }) => fault === undefined ? Effect.void : this.fail(fault))
  }

  private fail(why: string): Effect.Effect<never, SnapshotError> {
    return Effect.fail(new SnapshotError({ path: this.options.path, why }))
  }

  private warn(text: string): Effect.Effect<void> {
    return Effect.logWarning(`snapshot ${this.options.path}: ${text}`)
  }
}

/**
 * Snapshots in one SQLite file, read and written by a thread of its own. Nothing is opened before the first use.
 * A file that can't be used is a warning and an empty snapshot at `load`, and an error at each `save` until it can.
 */
export const layerSqlite = (
  given: Pick<SqliteSnapshotOptions, "path"> & Partial<SqliteSnapshotOptions>
): Layer.Layer<SnapshotStore> => {
  const options: SqliteSnapshotOptions = { ...sqliteSnapshotDefaults, ...given }
  return Layer.scoped(
    SnapshotStore,
    Effect.gen(function*() {
      const turns = yield* Effect.makeSemaphore(1)
      const file = yield* Effect.acquireRelease(
        Effect.sync(() => new ThreadedSnapshotFile(options, options.replyTimeoutMs)),
        // Waits for a save under way, also for one whose asker was interrupted.
        (file) => turns.withPermits(1)(Effect.promise(() => file.close()))
      )
      return new SqliteSnapshots(
        options,
        (request) => turns.withPermits(1)(Effect.uninterruptible(Effect.promise(() => file.ask(request))))
      )
    })
  )
}
