import type { SnapshotBlobs, SnapshotFile } from "./SnapshotFile.ts"
import type { SnapshotReply, SnapshotRequest } from "./snapshotMessages.ts"

/** Does to the file what a request says. Never throws. */
export const serveSnapshot = (file: SnapshotFile, request: SnapshotRequest): SnapshotReply => {
  let blobs: SnapshotBlobs | undefined
  let fault: string | undefined
  try {
    blobs = perform(file, request)
  } catch (cause) {
    fault = cause instanceof Error ? cause.message : String(cause)
  }
  return { blobs, fault, warnings: file.takeWarnings() }
}

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
