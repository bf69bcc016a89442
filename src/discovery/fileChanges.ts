import { Duration, Effect, Stream } from "effect"
import { watch } from "node:fs"
import { basename, dirname } from "node:path"

/**
 * A pulse when something in the file's directory changes: editors and Kubernetes replace the file by a rename or
 * a symlink beside it, which a watch of the file itself would miss. Changes closer together than `settleMs` are one.
 * Where watching fails there is no pulse, so poll as well.
 */
export const fileChanges = (path: string, settleMs: number): Stream.Stream<void> =>
  Stream.asyncPush<void>((emit) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        try {
          const watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
            // Kubernetes swaps the link `..data`; the file's own name stays.
            if (name === null || name === basename(path) || name.startsWith("..")) emit.single(undefined)
          })
          watcher.on("error", () => watcher.close())
          return watcher
        } catch {
          return undefined
        }
      }),
      (watcher) => Effect.sync(() => watcher?.close())
    ), { bufferSize: 1, strategy: "sliding" }).pipe(Stream.debounce(Duration.millis(settleMs)))
