import { Context, Data, Effect, Layer } from "effect"

/** What is kept of one pod between two lives of the gateway. */
export interface PodRecord {
  /** `host:port` */
  readonly id: string
  readonly savedAtMs: number
  readonly sketch: {
    /** Names the pod whose blocks these are. */
    readonly id: string
    readonly blockSizeTokens: number
    readonly kvCapacityTokens: number
    /** Block hashes as core packs them. */
    readonly blocks: Uint8Array
  }
  readonly lastState: {
    readonly processStartS?: number | undefined
    readonly models: ReadonlyArray<string>
  }
}

/** What is kept of the gateway as a whole. */
export interface MetaRecord {
  /** Expected output length by model. */
  readonly outputTokensByModel: Readonly<Record<string, number>>
}

export interface SnapshotContents {
  readonly pods: ReadonlyArray<PodRecord>
  readonly meta: MetaRecord | undefined
}

/** A snapshot was not written. `path` is the file, `why` a sentence for people. */
export class SnapshotError extends Data.TaggedError("SnapshotError")<{
  readonly path: string
  readonly why: string
}> {
  override get message(): string {
    return `${this.path}: ${this.why}`
  }
}

/** Keeps pod records across restarts. `load` never fails: a store that can't be read is empty and says so in the log. */
export class SnapshotStore extends Context.Tag("warmroute/SnapshotStore")<SnapshotStore, {
  readonly load: Effect.Effect<SnapshotContents>
  /** Replaces the records of these pods, and the meta record unless undefined. Records of other pods stay. */
  readonly save: (
    pods: ReadonlyArray<PodRecord>,
    meta: MetaRecord | undefined
  ) => Effect.Effect<void, SnapshotError>
  readonly remove: (ids: ReadonlyArray<string>) => Effect.Effect<void, SnapshotError>
}>() {}

/** Keeps nothing: every start is cold. */
export const layerNone: Layer.Layer<SnapshotStore> = Layer.succeed(SnapshotStore, {
  load: Effect.succeed({ pods: [], meta: undefined }),
  save: () => Effect.void,
  remove: () => Effect.void
})
