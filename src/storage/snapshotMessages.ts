import type { PodBlob, SnapshotBlobs, SnapshotFileOptions } from "./SnapshotFile.ts"

/** What the thread of the snapshot is asked; `open` is its first message and has no reply. */
export type SnapshotRequest =
  | { readonly _tag: "open"; readonly options: SnapshotFileOptions }
  | { readonly _tag: "load" }
  | {
    readonly _tag: "save"
    readonly pods: ReadonlyArray<PodBlob>
    readonly meta: Uint8Array<ArrayBuffer> | undefined
  }
  | { readonly _tag: "remove"; readonly ids: ReadonlyArray<string> }
  | { readonly _tag: "close" }

/** One for each request but `open`, in order. */
export interface SnapshotReply {
  /** Of a load. */
  readonly blobs: SnapshotBlobs | undefined
  /** Why it failed. */
  readonly fault: string | undefined
  /** To be logged; each completes "<path>: …". */
  readonly warnings: ReadonlyArray<string>
}
