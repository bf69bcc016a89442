import { Effect, Layer } from "effect"
import { layerSqlite } from "../../src/storage/layerSqlite.ts"
import { layerNone, type SnapshotStore } from "../../src/storage/SnapshotStore.ts"
import { GatewayConfig } from "../GatewayConfig.ts"

/** Where the configuration wants learned state kept: a SQLite file, or nowhere. */
export const layer: Layer.Layer<SnapshotStore, never, GatewayConfig> = Layer.unwrapEffect(
  Effect.map(
    GatewayConfig,
    ({ limits, snapshot }) =>
      snapshot.enabled ? layerSqlite({ path: snapshot.path, podsMax: limits.podsMax }) : layerNone
  )
)
