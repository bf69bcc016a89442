import { type Context, Effect } from "effect"
import { type MetaRecord, type PodRecord, SnapshotError, type SnapshotStore } from "../../src/storage/SnapshotStore.ts"
import type { VirtualTime } from "./VirtualTime.ts"

/** What snapshots leave behind, in memory: it outlives gateways, may be slow and may fail. */
export class MemoryStore {
  /** Why saves fail; undefined while they do not. */
  fault: string | undefined = undefined
  slownessMs = 0
  readonly records = new Map<string, PodRecord>()
  private meta: MetaRecord | undefined = undefined
  private readonly time: VirtualTime
  private readonly onSave: (record: PodRecord) => void

  constructor(time: VirtualTime, onSave: (record: PodRecord) => void) {
    this.time = time
    this.onSave = onSave
  }

  /** The store as one process of the gateway has it: once that was killed, nothing is written any more. */
  forProcess(isKilled: () => boolean): Context.Tag.Service<SnapshotStore> {
    const write = (change: () => void): Effect.Effect<void, SnapshotError> =>
      Effect.promise(() => this.time.sleep(this.slownessMs)).pipe(
        Effect.zipRight(Effect.suspend(() => {
          if (isKilled()) return Effect.never
          if (this.fault !== undefined) return Effect.fail(new SnapshotError({ path: "memory", why: this.fault }))
          change()
          return Effect.void
        }))
      )
    return {
      load: Effect.sync(() => ({ pods: [...this.records.values()], meta: this.meta })),
      save: (pods, meta) =>
        write(() => {
          for (const record of pods) {
            const kept = structuredClone(record)
            this.records.set(kept.id, kept)
            this.onSave(kept)
          }
          this.meta = meta ?? this.meta
        }),
      remove: (ids) => write(() => ids.forEach((id) => this.records.delete(id)))
    }
  }
}
