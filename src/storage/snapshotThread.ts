/** Entry of the thread that owns the snapshot file; see ThreadedSnapshotFile for its other end. */
import { serveSnapshot } from "./serveSnapshot.ts"
import { SnapshotFile } from "./SnapshotFile.ts"
import type { SnapshotRequest } from "./snapshotMessages.ts"

declare const self: Worker

self.addEventListener("message", (first: MessageEvent<SnapshotRequest>) => {
  if (first.data._tag !== "open") return
  const file = new SnapshotFile(first.data.options)
  self.addEventListener("message", ({ data }: MessageEvent<SnapshotRequest>) => {
    const reply = serveSnapshot(file, data)
    self.postMessage(reply, reply.blobs?.pods.map(({ body }) => body.buffer) ?? [])
  })
}, { once: true })
