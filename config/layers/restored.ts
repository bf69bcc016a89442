import { Context, Effect, Layer } from "effect"
import { type SnapshotContents, SnapshotStore } from "../../src/storage/SnapshotStore.ts"

/** What the last life of the gateway left behind, read once and before the first pick. */
export class Restored extends Context.Tag("warmroute/Restored")<Restored, SnapshotContents>() {}

export const layer: Layer.Layer<Restored, never, SnapshotStore> = Layer.effect(
  Restored,
  Effect.flatMap(SnapshotStore, (store) => store.load)
)
