import { Effect, Logger } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { layerSqlite, type SqliteSnapshotOptions } from "../../src/storage/layerSqlite.ts"
import { type PodRecord, SnapshotStore } from "../../src/storage/SnapshotStore.ts"

/** A record whose blocks are all `fill`, so that a torn one shows. */
export const record = (id: string, fill: number, blockBytes = 4000, savedAtMs = fill): PodRecord => ({
  id,
  savedAtMs,
  sketch: { id, blockSizeTokens: 16, kvCapacityTokens: 335_000, blocks: new Uint8Array(blockBytes).fill(fill) },
  lastState: { processStartS: 1_795_346_660.17, models: ["qwen", "lora-a"] }
})

/** One life of a gateway over the snapshot at `path`: what the program gives, and what the log said. */
export const live = async <A>(
  path: string,
  program: (store: typeof SnapshotStore.Service) => Effect.Effect<A>,
  options: Partial<SqliteSnapshotOptions> = {}
): Promise<{ readonly result: A; readonly log: ReadonlyArray<string> }> => {
  const log: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) =>
    log.push(`${logLevel.label} ${Array.isArray(message) ? message.join(" ") : String(message)}`)
  )
  const result = await Effect.runPromise(
    Effect.flatMap(SnapshotStore, program).pipe(
      Effect.provide(layerSqlite({ path, busyTimeoutMs: 50, ...options })),
      Effect.provide(Logger.replace(Logger.defaultLogger, logger))
    )
  )
  return { result, log }
}

export const withDirectory = async (body: (directory: string) => unknown): Promise<void> => {
  const directory = mkdtempSync(join(tmpdir(), "snapshot-"))
  try {
    await body(directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
}
