/** Entry of the thread that owns the snapshot file; see ThreadedSnapshotFile for its other end. */
import { type SnapshotBlobs, SnapshotFile } from "./SnapshotFile.ts"
import type { SnapshotReply, SnapshotRequest } from "./snapshotMessages.ts"

declare const self: Worker

const perform = (file: SnapshotFile, request: SnapshotRequest): SnapshotBlobs | undefined => {
  switch (request._tag) {
    case "load":
      return file.load()
    case "save":
      file.save(request.pods, request.meta)
      return undefined
    case "remove":
      file.remove(request.ids)
      return undefined
    case "close":
      file.close()
      return undefined
    case "open":
      return undefined
  }
}

const serve = (file: SnapshotFile, request: SnapshotRequest): SnapshotReply => {
  let blobs: SnapshotBlobs | undefined
  let fault: string | undefined
  try {
    blobs = perform(file, request)
  } catch (cause) {
    fault = cause instanceof Error ? cause.message : String(cause)
  }
  return { blobs, fault, warnings: file.takeWarnings() }
}

self.addEventListener("message", (first: MessageEvent<SnapshotRequest>) => {
  if (first.data._tag !== "open") return
  const file = new SnapshotFile(first.data.options)
  self.addEventListener("message", ({ data }: MessageEvent<SnapshotRequest>) => {
    const reply = serve(file, data)
    self.postMessage(reply, reply.blobs?.pods.map(({ body }) => body.buffer) ?? [])
  })
}, { once: true })
